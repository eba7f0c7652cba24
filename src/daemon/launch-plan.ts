// Decides what a launch asks for, or refuses it: pure, and before anything is made.
import type { HostGroup } from '../config/config.ts';
import type { CredentialWish } from '../delivery/credential.ts';
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
}

export interface LaunchPlan {
  readonly cpus: number;
  readonly ramBytes: number;
  readonly userdata: Uint8Array | undefined;
  readonly tags: readonly string[];
  readonly grant: Grant;
  readonly credentials: LaunchRequest['credentials'];
}

const MIB = 1024 * 1024;

/** What a guest needs to boot, as in slicer.yaml. */
const RAM_MIN_BYTES = 64 * MIB;

/**
 * `hostRamBytes`: the machine's memory, which a VM can't exceed: it would take the host's other programs
 * down, and does not boot. Throws secret_not_found, invalid_name,
 * empty_value, value_too_large, invalid_request: every problem at once.
 */
export function planLaunch(group: HostGroup, wish: LaunchWish, snapshot: Snapshot, hostRamBytes: number): LaunchPlan {
  const grant = wish.secrets ?? group.secrets;
  const ramBytes = wish.ramBytes ?? group.ramBytes;
  const userdata = wish.userdata ?? group.userdata ?? '';
  const credentials = wish.credentials ?? group.credentials;
  const delivery = planDelivery({ label: `host group "${group.name}"`, ramBytes, grant, credentials }, snapshot.secrets);
  const problems: Problem[] = [...delivery.problems];
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
    credentials: credentials.map((credential) => ({
      name: credential.name,
      secret: credential.secret,
      // A plan without problems has a source for each.
      value: credentialValue(credential, (snapshot.secrets.get(credential.secret) as StoredSecret).value),
    })),
  };
}
