// What `slicer check` and `slicer explain` say of a run file: the same questions as before a start, but what
// this machine lacks today, and may have when the VM starts, is no fault of the file.
import { planDelivery, type DeliveryPlan } from '../delivery/plan.ts';
import type { RunFile, RunInterface } from '../config/run-file.ts';
import type { SoundParts } from '../config/sound-parts.ts';
import { SlicerError, type Problem } from '../errors/slicer-error.ts';
import { encodeBootItems } from '../delivery/boot-items.ts';
import { Secret } from '../secret/secret.ts';
import { GUEST_ARCH } from '../vm/found-programs.ts';
import { checkPrograms } from '../vm/programs.ts';
import { socketsIn } from '../vm/runtime-directory.ts';
import type { NetworkInterface } from '../vmm/contract.ts';
import { vmmFor } from '../vmm/drivers.ts';
import { GUEST_CID_MIN } from '../wire/ports.ts';
import { deliveryVmOf, guestNotifies } from './delivery.ts';
import { findHostParts } from './host-parts.ts';
import { NOTIFY_PORT } from './notify-forwarder.ts';
import { findBoot, findRunPrograms, partProblems, type RunPrograms } from './preparation.ts';
import { readSecrets } from './secrets.ts';
import { specOf, type Boot } from './spec.ts';
import { volumeProblems } from './volumes.ts';

export interface CheckedRunFile {
  /** Its problems are those that the file would have at any time. */
  readonly plan: DeliveryPlan;
  /** What a start would miss now. */
  readonly warnings: readonly Problem[];
}

export interface CheckOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

export async function checkRunFile(file: RunFile, { env, uid }: CheckOptions): Promise<CheckedRunFile> {
  const path = env['PATH'] ?? '';
  const [programs, boot, hostParts, volumes] = await Promise.all([
    findRunPrograms(path), missingOf(findBoot(file)), findHostParts(file), volumeProblems(file.volumes, path),
  ]);
  const { values, problems: unread } = readSecrets(file.secrets, { credentialsDirectory: env['CREDENTIALS_DIRECTORY'], callerUid: uid });
  // As a service it may have one credential more than by hand.
  const vm = deliveryVmOf(file, GUEST_ARCH, guestNotifies(file, GUEST_ARCH) ? NOTIFY_PORT : undefined);
  const plan = planDelivery(vm, new Map([...values].map(([name, value]) => [name, { value }])));
  return {
    plan: {
      ...plan,
      problems: [...unread.filter((problem) => !isMissing(problem)), ...plan.problems.filter((problem) => !isMissing(problem)), ...lacks(file, plan, programs)],
    },
    warnings: [
      ...unread.filter(isMissing), ...boot, ...hostParts.problems, ...volumes,
      // With the kernel's VSOCK one program less is needed; a start knows which it is.
      ...await missingOf(checkPrograms(programs, file.vmm, false)),
    ],
  };
}

/** Of a file that itself is not right: what of it would be wrong besides. */
export async function checkSoundParts(parts: SoundParts, options: CheckOptions): Promise<{ readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] }> {
  const found = await partProblems(parts, options);
  const isWarning = (problem: Problem): boolean => isMissing(problem) || problem.code === 'missing_part';
  return { problems: found.filter((problem) => !isWarning(problem)), warnings: found.filter(isWarning) };
}

const isMissing = ({ code }: Problem): boolean => code === 'secret_not_found';

async function missingOf(work: Promise<unknown>): Promise<readonly Problem[]> {
  try {
    await work;
    return [];
  } catch (error) {
    if (error instanceof SlicerError) return error.problems;
    throw error;
  }
}

/** What the VMM lacks of the file, whatever this machine has. */
function lacks(file: RunFile, plan: DeliveryPlan, programs: RunPrograms): readonly Problem[] {
  const empty = new Secret(new Uint8Array());
  const items = encodeBootItems(plan.bootChannel, plan.bootCredentials.map(({ name }) => ({ name, value: empty })), file.staticOemStrings);
  const { boot } = file;
  const somewhere: Boot = boot.kind === 'kernel' ? { ...boot, initrd: boot.initrd ?? '', disks: [] } : { kernel: '', cmdline: boot.cmdline ?? '', disks: [] };
  return vmmFor(file.vmm, GUEST_ARCH, programs).problems(specOf(file, {
    boot: somewhere, items, interfaces: file.interfaces.map(anyInterface), accelerator: 'kvm', tscKhz: undefined,
    guestCid: file.cid ?? GUEST_CID_MIN, vsock: { kind: 'vhost-device-vsock' }, sockets: socketsIn('/'),
  }));
}

const anyInterface = (network: RunInterface): NetworkInterface => {
  const { mac, ...rest } = network;
  const given = { ...rest, ...(mac === undefined ? {} : { mac }) };
  return given.kind === 'macvtap' ? { ...given, device: '/dev/null' } : given;
};
