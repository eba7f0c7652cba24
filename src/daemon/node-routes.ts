// Host groups and VMs: launch, attach, list, delete.
import type { Node } from '../api/nodes.ts';
import { routes } from '../api/routes.ts';
import type { HostGroup } from '../config/config.ts';
import { missingSecrets } from '../delivery/plan.ts';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import type { Vm } from '../vm/contract.ts';
import { launchVm, waitUntilReady, type LaunchParts } from './launch.ts';
import { groupJson, nodeJson } from './node-json.ts';
import type { ApiContext, Attach } from './router.ts';

const DEFAULT_WAIT_MS = 30_000;

export function attachNodeRoutes(attach: Attach, groups: readonly HostGroup[], parts: LaunchParts): void {
  const { store, vms, live, audit } = parts;

  const groupNamed = (name: string): HostGroup => {
    const group = groups.find((candidate) => candidate.name === name);
    if (group !== undefined) return group;
    throw fail('group_not_found', `there is no host group ${JSON.stringify(name.slice(0, 64))}`,
      `the configuration has ${groups.map((known) => known.name).join(', ') || 'none'}`);
  };

  const jsonOf = (vm: Vm): Node => nodeJson(vm, live.get(vm.hostname)?.summary());
  /** Consoles are for admins. */
  const shownTo = ({ env: { caller } }: ApiContext) => (vm: Vm): Node => {
    const { console, ...node } = jsonOf(vm);
    return caller.role === 'admin' && console !== undefined ? { ...node, console } : node;
  };

  const remove = async (vm: Vm, { env: { caller } }: ApiContext) => {
    await vms.delete(vm.hostname);
    await audit.deleted(caller.actor, vm.hostname);
    return { message: 'Node deleted', disk_removed: vm.kind === 'launched' ? 'true' as const : 'false' as const };
  };

  attach(routes.listGroups, async () => groups.map((group) => groupJson(group, vms.list())));

  attach(routes.listNodes, async ({ query, context }) => vms.list().filter(hasTags(query)).sort(attachedLast).map(shownTo(context)));

  attach(routes.listGroupNodes, async ({ params, query, context }) => {
    const { name } = groupNamed(params.name);
    return vms.list().filter((vm) => isOfGroup(vm, name)).filter(hasTags(query)).map(shownTo(context));
  });

  attach(routes.launchNode, async ({ params, query, body, context }) => {
    const group = groupNamed(params.name);
    const { hostname } = await launchVm(parts, context.env.caller.actor, group, {
      cpus: body.cpus, ramBytes: body.ram_bytes, userdata: body.userdata, tags: body.tags, secrets: body.secrets,
      credentials: body.credentials, hypervisor: body.hypervisor, machine: body.machine, image: body.image,
    });
    if (query.wait !== undefined) {
      await waitUntilReady(parts, context.env.caller.actor, hostname, { goal: query.wait, timeoutMs: query.timeout ?? DEFAULT_WAIT_MS });
    }
    return jsonOf(vmNamed(vms, hostname));
  });

  attach(routes.attachNode, async ({ body: { hostname, vsock, secrets, tags }, context }) => {
    await store.rescan();
    const grant = secrets === undefined ? 'all' : [...new Set(secrets)];
    throwIfAny(missingSecrets(grant, store.snapshot().secrets));
    return audit.change({ actor: context.env.caller.actor, event: 'grant', vm: hostname, grant }, async () => {
      const vm = await vms.attach({ hostname, vsockPath: vsock, grant, tags: [...new Set(tags ?? [])] });
      try {
        await live.begin(vm);
      } catch (error) {
        await vms.delete(hostname);
        throw error;
      }
      return jsonOf(vm);
    });
  });

  attach(routes.deleteNode, ({ params, context }) => remove(vmNamed(vms, params.hostname), context));

  attach(routes.deleteGroupNode, async ({ params, context }) => {
    const { name } = groupNamed(params.name);
    const vm = vmNamed(vms, params.hostname);
    if (!isOfGroup(vm, name)) throw fail('vm_not_found', `host group "${name}" has no vm "${vm.hostname}"`, 'slicer vm list');
    return remove(vm, context);
  });
}

/** Throws vm_not_found. */
export function vmNamed(vms: LaunchParts['vms'], hostname: string): Vm {
  const vm = vms.get(hostname);
  if (vm === undefined) throw fail('vm_not_found', `there is no vm ${JSON.stringify(hostname.slice(0, 64))}`, 'slicer vm list');
  return vm;
}

const isOfGroup = (vm: Vm, group: string): boolean => vm.kind === 'launched' && vm.group === group;

const hasTags = ({ tag, tag_prefix: prefix }: { tag?: string | undefined; tag_prefix?: string | undefined }) => ({ tags }: Vm): boolean =>
  (tag === undefined || tags.includes(tag)) && (prefix === undefined || tags.some((candidate) => candidate.startsWith(prefix)));

const attachedLast = (a: Vm, b: Vm): number => Number(a.kind === 'attached') - Number(b.kind === 'attached');
