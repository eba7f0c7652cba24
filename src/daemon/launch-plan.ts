// Decides what a launch asks for, or refuses it: pure, and before anything is made.
import type { HostGroup } from '../config/config.ts';
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import type { Snapshot } from '../store/store.ts';

/** What a request may say besides its group; absent means what the group says. */
export interface LaunchWish {
  readonly cpus?: number | undefined;
  readonly ramBytes?: number | undefined;
  readonly userdata?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly secrets?: readonly SecretName[] | undefined;
}

export interface LaunchPlan {
  readonly cpus: number;
  readonly ramBytes: number;
  readonly userdata: Uint8Array | undefined;
  readonly tags: readonly string[];
  readonly grant: Grant;
}

const MIB = 1024 * 1024;

/** What a guest needs to boot, as in slicer.yaml. */
const RAM_MIN_BYTES = 64 * MIB;

/**
 * `hostRamBytes`: the machine's memory, which a VM can't exceed: it would take the host's other programs
 * down, and does not boot. Throws secret_not_found for every unknown name, invalid_request.
 */
export function planLaunch(group: HostGroup, wish: LaunchWish, snapshot: Snapshot, hostRamBytes: number): LaunchPlan {
  const grant = wish.secrets ?? group.secrets;
  const ramBytes = wish.ramBytes ?? group.ramBytes;
  const userdata = wish.userdata ?? group.userdata ?? '';
  const problems = unknownSecrets(grant, snapshot);
  if (ramBytes % MIB !== 0) {
    problems.push({ code: 'invalid_request', message: `ram_bytes is ${ramBytes}; a VM takes whole MiB (${MIB} bytes)` });
  }
  if (ramBytes < RAM_MIN_BYTES || ramBytes > hostRamBytes) {
    problems.push({
      code: 'invalid_request',
      message: `a VM takes ${RAM_MIN_BYTES / MIB} MiB of memory to the ${Math.floor(hostRamBytes / MIB)} MiB that this machine has, not ${Math.floor(ramBytes / MIB)} MiB`,
    });
  }
  throwIfAny(problems);
  return {
    cpus: wish.cpus ?? group.vcpu,
    ramBytes,
    userdata: userdata === '' ? undefined : Buffer.from(userdata),
    tags: [...new Set([...group.tags, ...(wish.tags ?? [])])],
    grant: grant === 'all' ? 'all' : [...new Set(grant)],
  };
}

/** One problem for each granted name that the store does not hold: who names a secret means one that is there. */
export function unknownSecrets(grant: Grant, snapshot: Snapshot): Problem[] {
  if (grant === 'all') return [];
  return [...new Set(grant)].filter((name) => !snapshot.secrets.has(name)).map((name) => ({
    code: 'secret_not_found', message: `there is no secret "${name}"`, hint: 'slicer secret list',
  }));
}
