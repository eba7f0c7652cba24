// VMs and host groups as the API shows them.
import type { HostGroup as HostGroupJson, Node, NodeStatus } from '../api/nodes.ts';
import type { VmSecrets } from '../api/vm.ts';
import type { HostGroup } from '../config/config.ts';
import type { LiveStatus, LiveSummary } from '../live/contract.ts';
import type { ReportedError } from '../wire/protocol.ts';
import type { LaunchedVm, Vm, VmStatus } from '../vm/contract.ts';

export const ARCH: 'amd64' | 'arm64' = process.arch === 'arm64' ? 'arm64' : 'amd64';

const STATUS: Readonly<Record<VmStatus, NodeStatus>> = {
  starting: 'Starting', running: 'Running', stopping: 'Stopping', stopped: 'Stopped', failed: 'Failed',
};

/** `live` is what the VM's live channel says of it, where it has one. */
export function nodeJson(vm: Vm, live: LiveSummary | undefined): Node {
  const launched = vm.kind === 'launched' ? vm : undefined;
  const console = launched?.lastConsoleLines ?? [];
  return {
    hostname: vm.hostname,
    hostgroup: launched?.group ?? '',
    // A VM on QEMU's user network has an address that nothing else can reach.
    ip: '',
    created_at: new Date(vm.createdAtMs).toISOString(),
    arch: ARCH,
    status: STATUS[vm.status],
    tags: [...vm.tags],
    hypervisor: launched?.vmm.hypervisor ?? '',
    cpus: launched?.cpus ?? 0,
    ram_bytes: launched?.ramBytes ?? 0,
    secrets: vm.grant === 'all' ? 'all' : [...vm.grant],
    credentials: launched === undefined ? [] : credentialsJson(launched),
    attached: vm.kind === 'attached',
    ...(live?.agentVersion === undefined ? {} : { agent_version: live.agentVersion }),
    ...(launched?.userdata.state === 'done' ? { userdata_exit_code: launched.userdata.exitCode } : {}),
    ...(vm.reason === undefined ? {} : { error: vm.reason }),
    ...(console.length === 0 ? {} : { console: console.join('\n') }),
  };
}

function credentialsJson({ credentials, liveCredentials }: LaunchedVm): Node['credentials'] {
  const isIn = (list: readonly { readonly name: string }[], name: string): boolean => list.some((given) => given.name === name);
  return [
    ...credentials.map(({ name, secret }) => ({ name, secret, deliver: isIn(liveCredentials, name) ? 'both' as const : 'boot' as const })),
    ...liveCredentials.filter(({ name }) => !isIn(credentials, name)).map(({ name, secret }) => ({ name, secret, deliver: 'live' as const })),
  ];
}

export function groupJson({ name, ramBytes, vcpu }: HostGroup, vms: readonly Vm[]): HostGroupJson {
  const count = vms.filter((vm) => vm.kind === 'launched' && vm.group === name).length;
  return { name, count, ram_bytes: ramBytes, cpus: vcpu, gpu_count: 0, arch: ARCH };
}

/** A VM that is not served has no status: nothing of it is known. */
export function vmSecretsJson(hostname: string, status: LiveStatus | undefined): VmSecrets {
  if (status === undefined) return { hostname, connected: false, synced: false, secrets: [], errors: [] };
  const deliveries = [...status.deliveries].sort((a, b) => compare(a.name, b.name) || compare(a.credential ?? '', b.credential ?? ''));
  return {
    hostname,
    connected: status.connected,
    synced: status.synced,
    secrets: deliveries.map(({ name, credential, state, sinceMs, error }) => ({
      name,
      ...(credential === undefined ? {} : { credential }),
      state,
      ...(sinceMs === undefined ? {} : { since: new Date(sinceMs).toISOString() }),
      ...(error === undefined ? {} : { error: faultJson(error) }),
    })),
    errors: status.errors.map(faultJson),
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const faultJson = ({ code, message }: ReportedError): { code: string; message: string } => ({ code, message });
