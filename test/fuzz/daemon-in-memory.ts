// The daemon's routes over a store and VMs in memory, which each input finds as the one before did. No VM has an
// agent, and a launch takes no time.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostGroup } from '../../src/config/config.ts';
import { attachAuditRoute } from '../../src/daemon/audit-route.ts';
import type { Auditor } from '../../src/daemon/auditor.ts';
import { attachExecRoute } from '../../src/daemon/exec-route.ts';
import { Histogram } from '../../src/daemon/histogram.ts';
import { attachHostRoutes } from '../../src/daemon/host-routes.ts';
import type { LiveVms } from '../../src/daemon/live-vms.ts';
import type { Log } from '../../src/daemon/log.ts';
import { attachMetricsRoute } from '../../src/daemon/metrics.ts';
import { attachNodeRoutes } from '../../src/daemon/node-routes.ts';
import { createRouter, type Router } from '../../src/daemon/router.ts';
import { attachSecretRoutes } from '../../src/daemon/secret-routes.ts';
import { attachVmRoutes } from '../../src/daemon/vm-routes.ts';
import { fail } from '../../src/errors/slicer-error.ts';
import { DEFAULT_ATTRIBUTES } from '../../src/secret/file-attributes.ts';
import type { Store } from '../../src/store/store.ts';
import type { AttachedVm, LaunchedVm, Vm, Vms } from '../../src/vm/contract.ts';
import { MemoryStore } from '../live/memory-store.ts';

const MIB = 2 ** 20;

/** Of an audit log nobody has written to. */
function emptyLog(): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-fuzz-audit-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'audit.log'), '');
  return join(directory, 'audit.log');
}

const GROUP: HostGroup = {
  name: 'web', count: 0, vcpu: 2, ramBytes: 256 * MIB, userdata: undefined, image: { kind: 'tiny' }, kernelFile: undefined,
  vmm: { hypervisor: 'qemu', machine: 'q35' }, network: 'none', secrets: 'all', credentials: [], tags: [],
};

const RUNNING: AttachedVm = { kind: 'attached', status: 'running', hostname: 'web-1', vsockPath: '/nowhere/vm.vsock', grant: 'all', tags: ['x'], createdAtMs: 0 };

export interface MemoryDaemon {
  readonly router: Router;
  /** Puts everything back. */
  reset(): void;
  /** Names of secrets, with their values, and names of VMs: what requests can change. */
  state(): string;
  /** Errors that the daemon logged, since they were taken last. */
  takeErrors(): string[];
  /** Who waits for what is to come. */
  listeners(): number;
}

/** `value` is that of the one secret, which is called `api-key`. */
export function daemonInMemory(value: string): MemoryDaemon {
  let secrets = new MemoryStore();
  const machines = new Map<string, Vm>();
  const errors: string[] = [];
  const listening = new Set<object>();
  const listen = (listener: object): (() => void) => {
    const entry = { listener };
    listening.add(entry);
    return () => void listening.delete(entry);
  };
  const known = (name: string) => secrets.snapshot().secrets.get(name as never) ?? fail('secret_not_found', `there is no secret "${name}"`);

  const store: Store = {
    snapshot: () => secrets.snapshot(), rescan: async () => undefined, close: async () => undefined, onChange: listen, onOutsideChange: listen,
    create: async (name, secret, attributes) => {
      if (secrets.snapshot().secrets.has(name)) throw fail('secret_exists', `there is a secret "${name}"`);
      secrets.set(name, secret.reveal(), attributes);
      return known(name) as never;
    },
    update: async (name, change) => {
      const before = known(name);
      if (before instanceof Error) throw before;
      const { value: secret = before.value, mode = before.attributes.mode, uid = before.attributes.uid, gid = before.attributes.gid } = change;
      secrets.set(name, secret.reveal(), { mode, uid, gid });
      return known(name) as never;
    },
    remove: async (name) => {
      const before = known(name);
      if (before instanceof Error) throw before;
      secrets.set(name, undefined);
    },
  };
  const vms = {
    list: () => [...machines.values()], get: (hostname: string) => machines.get(hostname), onChange: listen,
    attach: async ({ hostname, vsockPath, grant, tags }: AttachedVm) => {
      if (machines.has(hostname)) throw fail('vm_exists', `vm "${hostname}" is there already`);
      const vm: AttachedVm = { ...RUNNING, hostname, vsockPath, grant, tags };
      machines.set(hostname, vm);
      return vm;
    },
    launch: async (request: Parameters<Vms['launch']>[0], hooks: Parameters<Vms['launch']>[1]) => {
      const vm: LaunchedVm = {
        ...RUNNING, kind: 'launched', hostname: `${request.group}-2`, group: request.group, cpus: request.cpus, ramBytes: request.ramBytes, vmm: request.vmm, grant: request.grant,
        credentials: request.credentials.map(({ name, secret }) => ({ name, secret })), liveCredentials: request.liveCredentials, tags: request.tags, userdata: { state: 'none' }, lastConsoleLines: [],
      };
      await hooks.beforeStart(vm);
      machines.set(vm.hostname, vm);
      return vm;
    },
    delete: async (hostname: string) => void machines.delete(hostname),
    logs: async (_hostname: string, lines: number) => ({ lines, content: 'login: \n' }),
  } as unknown as Vms;
  const live = { get: () => undefined, getting: () => [], begin: async () => undefined } as unknown as LiveVms;
  const audit = {
    change: async <T>(_change: object, make: () => Promise<T>) => make(),
    launch: (_actor: string, launch: (begin: () => Promise<void>) => Promise<LaunchedVm>) => launch(async () => undefined),
    exec: async () => async () => undefined, deleted: async () => undefined, refused: () => undefined,
    reads: { boot: 0, live: 0 }, pushes: new Histogram([1]), guestRefusals: new Map(), apiRefusals: new Map(), suppressed: 0,
    log: { path: emptyLog(), note: async () => undefined, onWritten: listen, counts: () => ({ written: 0, lost: 0, isWritable: true }) },
  } as unknown as Auditor;
  const note = (fields: object, message: string): void => void errors.push(`${message} ${JSON.stringify(fields)}`);
  const log = { debug: () => undefined, info: () => undefined, warn: note, error: note, fatal: note } as unknown as Log;

  const router = createRouter(log, () => false, () => undefined);
  const machine = { guestImage: async () => ({ kernel: '/nowhere/kernel', cmdline: '', volumes: [] }) };
  const parts = { store, vms, live, audit, machine, lateConsole: '/nowhere/console' } as unknown as Parameters<typeof attachNodeRoutes>[2];
  attachHostRoutes(router);
  attachSecretRoutes(router.attach, store, live, audit);
  attachNodeRoutes(router.attach, [GROUP], parts);
  attachVmRoutes(router.attach, vms, live);
  attachMetricsRoute(router.attach, parts);
  attachAuditRoute(router.attach, audit.log, new AbortController().signal, log);
  attachExecRoute(router.attach, vms, live, audit);
  return {
    router,
    reset: () => {
      secrets = new MemoryStore();
      secrets.set('api-key', value, DEFAULT_ATTRIBUTES);
      machines.clear();
      machines.set(RUNNING.hostname, RUNNING);
    },
    state: () => JSON.stringify([[...secrets.snapshot().secrets.values()].map(({ name, value: secret, attributes }) => [name, Buffer.from(secret.reveal()).toString('hex'), attributes]), [...machines.keys()]]),
    takeErrors: () => errors.splice(0),
    listeners: () => listening.size,
  };
}
