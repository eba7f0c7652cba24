// /secrets and /store: values go in and never come out.
import { formatPermissions } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import { routes } from '../api/routes.ts';
import type { Delivery, SecretInfo } from '../api/secrets.ts';
import type { Store, StoredSecret } from '../store/store.ts';
import { watchDelivery } from './delivery-wait.ts';
import type { Auditor } from './auditor.ts';
import type { LiveVms } from './live-vms.ts';
import type { ApiContext, Attach } from './router.ts';

export function attachSecretRoutes(attach: Attach, store: Store, live: LiveVms, audit: Auditor): void {
  /** Makes a change that is on record, and says where it stands when it was waited for. */
  const change = async <T>(
    context: ApiContext,
    event: 'create' | 'update' | 'remove',
    name: SecretName,
    waitMs: number | undefined,
    make: () => Promise<T>,
  ): Promise<{ made: T; delivery: { delivery?: Delivery } }> => {
    const delivered = waitMs === undefined ? undefined : watchDelivery(live, name, waitMs);
    const made = await audit.change({ actor: context.env.caller.actor, event, secret: name }, make);
    return { made, delivery: delivered === undefined ? {} : { delivery: await delivered(store.snapshot().counter) } };
  };

  attach(routes.listSecrets, async () => {
    const secrets = [...store.snapshot().secrets.values()];
    return secrets.sort((a, b) => (a.name < b.name ? -1 : 1)).map(secretInfo);
  });

  attach(routes.createSecret, async ({ body: { name, value, attributes }, query, context }) => {
    const { made, delivery } = await change(context, 'create', name, query.wait, () => store.create(name, value, attributes));
    return { ...secretInfo(made), ...delivery };
  });

  attach(routes.updateSecret, async ({ params: { name }, body, query, context }) => {
    const { made, delivery } = await change(context, 'update', name, query.wait, () => store.update(name, body));
    return { ...secretInfo(made), ...delivery };
  });

  attach(routes.removeSecret, async ({ params: { name }, query, context }) => {
    const { delivery } = await change(context, 'remove', name, query.wait, () => store.remove(name));
    return { name, ...delivery };
  });

  attach(routes.storeState, async () => {
    await store.rescan();
    const { skipped, problem } = store.snapshot();
    return { skipped: [...skipped], ...(problem === undefined ? {} : { problem }) };
  });
}

function secretInfo({ name, value, attributes: { mode, uid, gid }, modifiedAtMs }: StoredSecret): SecretInfo {
  const modified = new Date(modifiedAtMs).toISOString();
  return { name, size: value.sizeBytes, permissions: formatPermissions(mode), uid, gid, mod_time: modified, modified_at: modified };
}
