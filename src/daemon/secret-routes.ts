// /secrets and /store: values go in and never come out.
import { formatPermissions } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import { routes } from '../api/routes.ts';
import type { Delivery, SecretInfo } from '../api/secrets.ts';
import type { Store, StoredSecret } from '../store/store.ts';
import { waitForDelivery } from './delivery-wait.ts';
import type { LiveVms } from './live-vms.ts';
import type { Attach } from './router.ts';

export function attachSecretRoutes(attach: Attach, store: Store, live: LiveVms): void {
  const delivery = async (name: SecretName, counter: number, waitMs: number | undefined): Promise<{ delivery?: Delivery }> =>
    waitMs === undefined ? {} : { delivery: await waitForDelivery(live.granted(name), name, counter, waitMs) };

  attach(routes.listSecrets, async () => {
    const secrets = [...store.snapshot().secrets.values()];
    return secrets.sort((a, b) => (a.name < b.name ? -1 : 1)).map(secretInfo);
  });

  attach(routes.createSecret, async ({ body: { name, value, attributes }, query }) => {
    const secret = await store.create(name, value, attributes);
    return { ...secretInfo(secret), ...await delivery(name, secret.version, query.wait) };
  });

  attach(routes.updateSecret, async ({ params: { name }, body, query }) => {
    const secret = await store.update(name, body);
    return { ...secretInfo(secret), ...await delivery(name, secret.version, query.wait) };
  });

  attach(routes.removeSecret, async ({ params: { name }, query }) => {
    await store.remove(name);
    return { name, ...await delivery(name, store.snapshot().counter, query.wait) };
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
