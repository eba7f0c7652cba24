// Decides what a launch asks for, or refuses it: pure, and before anything is made.
import type { HostGroup } from '../config/config.ts';
import { groupDelivery } from '../config/group-delivery.ts';
import { ramMinBytes } from '../config/named-files.ts';
import type { CredentialWish } from '../delivery/credential.ts';
import type { GuestArch, Hypervisor, MachineType, VmmChoice } from '../delivery/hypervisor.ts';
import { credentialValue } from '../delivery/oem-strings.ts';
import { planDelivery } from '../delivery/plan.ts';
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import type { Snapshot, StoredSecret } from '../store/store.ts';
import type { LaunchRequest } from '../vm/contract.ts';

/** What a request may say besides its group; absent means what the group says. */
export interface LaunchWish {
  readonly cpus?: number | undefined;
  readonly ramBytes?: number | undefined;
  readonly userdata?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly secrets?: readonly SecretName[] | undefined;
  readonly credentials?: readonly CredentialWish[] | undefined;
  readonly hypervisor?: Hypervisor | undefined;
  readonly machine?: MachineType | undefined;
  readonly image?: 'tiny' | 'debian' | undefined;
}

/** What is known of the machine that the VM is to run on. */
export interface LaunchHost {
  /** Its memory, which a VM can't exceed: it would take the host's other programs down, and does not boot. */
  readonly ramBytes: number;
  readonly arch: GuestArch;
}

export interface LaunchPlan {
  readonly vmm: VmmChoice;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly userdata: Uint8Array | undefined;
  readonly tags: readonly string[];
  readonly grant: Grant;
  readonly credentials: LaunchRequest['credentials'];
  readonly liveCredentials: LaunchRequest['liveCredentials'];
}

const MIB = 1024 * 1024;

/** Throws secret_not_found, invalid_name, empty_value, value_too_large, invalid_request: every problem at once. */
export function planLaunch(group: HostGroup, wish: LaunchWish, snapshot: Snapshot, host: LaunchHost): LaunchPlan {
  const grant = wish.secrets ?? group.secrets;
  const ramBytes = wish.ramBytes ?? group.ramBytes;
  const userdata = wish.userdata ?? group.userdata ?? '';
  const vmm = vmmOf(group, wish);
  const asked = { ...group, ...bootOf(group, wish), vmm, ramBytes, secrets: grant, credentials: wish.credentials ?? group.credentials };
  const delivery = planDelivery(groupDelivery(asked, host.arch), snapshot.secrets);
  throwIfAny([...vmmProblems(group, wish, vmm), ...delivery.problems, ...ramProblems(ramBytes, ramMinBytes(bootOf(group, wish).image.kind), host)]);
  return {
    vmm,
    cpus: wish.cpus ?? group.vcpu,
    ramBytes,
    userdata: userdata === '' ? undefined : Buffer.from(userdata),
    tags: [...new Set([...group.tags, ...(wish.tags ?? [])])],
    grant: grant === 'all' ? 'all' : [...new Set(grant)],
    credentials: delivery.bootCredentials.map((credential) => ({
      name: credential.name,
      secret: credential.secret,
      // A plan without problems has a source for each.
      value: credentialValue(credential, (snapshot.secrets.get(credential.secret) as StoredSecret).value),
    })),
    liveCredentials: delivery.liveCredentials.map(({ name, secret, trimNewline }) => ({ name, secret, trimNewline })),
  };
}

/** What the VM boots: an image that a launch names comes with its own kernel. */
export const bootOf = (group: HostGroup, { image }: LaunchWish): Pick<HostGroup, 'image' | 'kernelFile'> =>
  (image === undefined ? group : { image: { kind: image }, kernelFile: undefined });

/** The group's machine type is for the group's hypervisor: a launch that names another has that one's default. */
function vmmOf({ vmm }: HostGroup, { hypervisor = vmm.hypervisor, machine }: LaunchWish): VmmChoice {
  return { hypervisor, machine: machine ?? (hypervisor === vmm.hypervisor ? vmm.machine : 'q35') };
}

function vmmProblems(group: HostGroup, wish: LaunchWish, { hypervisor }: VmmChoice): Problem[] {
  if (hypervisor === 'qemu') return [];
  const problems: Problem[] = [];
  if (wish.machine !== undefined) problems.push({ code: 'invalid_request', message: `machine is QEMU's, and hypervisor is ${hypervisor}`, hint: 'leave machine out' });
  if (group.network === 'user') {
    problems.push({
      code: 'invalid_request',
      message: `host group "${group.name}" has network: user, which is QEMU's own network stack, and hypervisor is ${hypervisor}`,
      hint: 'launch it with hypervisor qemu, or in a host group with network: none',
    });
  }
  return problems;
}

function ramProblems(ramBytes: number, leastBytes: number, host: LaunchHost): Problem[] {
  const problems: Problem[] = [];
  if (ramBytes % MIB !== 0) {
    problems.push({ code: 'invalid_request', message: `ram_bytes is ${ramBytes}; a VM takes whole MiB (${MIB} bytes)` });
  }
  if (ramBytes < leastBytes || ramBytes > host.ramBytes) {
    problems.push({
      code: 'invalid_request',
      message: `a VM takes ${leastBytes / MIB} MiB of memory to the ${Math.floor(host.ramBytes / MIB)} MiB that this machine has, not ${Math.floor(ramBytes / MIB)} MiB`,
    });
  }
  return problems;
}
