// Everything that must be right before a VM starts, looked at together, so that one attempt names all that
// is wrong. Nothing is made or started here; secrets are read.
import { access, constants } from 'node:fs/promises';
import { findGuestImage } from '../../image/guest-images.ts';
import type { RunFile } from '../config/run-file.ts';
import type { SoundParts } from '../config/sound-parts.ts';
import { planDelivery, type DeliveryPlan } from '../delivery/plan.ts';
import { SlicerError, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import { findPrograms, GUEST_ARCH } from '../vm/found-programs.ts';
import { findVmUids, type UidRange } from '../vm/vm-user.ts';
import { checkPrograms, findProgram, type VmPrograms } from '../vm/programs.ts';
import { findAccelerator } from '../vmm/accelerator.ts';
import type { Accelerator, NetworkInterface } from '../vmm/contract.ts';
import { findTscKhz } from '../vmm/time-stamp-counter.ts';
import { usesKernelVsock } from '../vmm/vsock-device.ts';
import { deliveryVmOf, guestNotifies } from './delivery.ts';
import { findHostParts } from './host-parts.ts';
import { NOTIFY_PORT } from './notify-forwarder.ts';
import { readSecrets } from './secrets.ts';
import { serviceManager, type ServiceManager } from './service-manager.ts';
import type { Boot } from './spec.ts';
import { volumeProblems } from './volumes.ts';

export interface RunPrograms extends VmPrograms {
  /** util-linux's. */
  readonly flock: string;
}

export interface PreparedVm {
  readonly secrets: ReadonlyMap<SecretName, Secret>;
  /** Without problems. */
  readonly plan: DeliveryPlan;
  /** Which secrets the live channel has as files. */
  readonly grant: readonly SecretName[];
  readonly programs: RunPrograms;
  readonly boot: Boot;
  readonly interfaces: readonly NetworkInterface[];
  readonly accelerator: Accelerator;
  readonly tscKhz: number | undefined;
  readonly kernelVsock: boolean;
  /** The users that VMs run as; undefined: this process's. */
  readonly vmUids: UidRange | undefined;
  /** Who waits to be told that the guest is up. */
  readonly manager: ServiceManager | undefined;
  /** Where the guest tells it; undefined: the agent's first sync does. */
  readonly notifyPort: number | undefined;
}

export interface PreparationOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** Resolves when this process may hold secrets. */
  readonly isPrivate: Promise<void>;
  readonly warn: (fact: string) => void;
}

/** Throws every problem at once. */
export async function prepareVm(file: RunFile, { env, uid, warn, isPrivate }: PreparationOptions): Promise<PreparedVm> {
  const path = env['PATH'] ?? '';
  const notifySocket = env['NOTIFY_SOCKET'] ?? '';
  const [programs, accelerator, tscKhz, vmUids, places, manager] = await Promise.all([
    findRunPrograms(path), findAccelerator(env['SLICER_ACCEL']), findTscKhz(), vmUidsFor(file, env, warn), findRunPlaces(file, path),
    notifySocket === '' ? undefined : serviceManager(notifySocket, path, warn),
  ]);
  const kernelVsock = file.vmm.hypervisor === 'qemu' && await usesKernelVsock(env['SLICER_VSOCK'], accelerator);
  // The kernel's VSOCK leads a guest to one port of the host, which is the live channel's.
  const notifyPort = manager !== undefined && !kernelVsock && guestNotifies(file, GUEST_ARCH) ? NOTIFY_PORT : undefined;
  await isPrivate;
  const { problems, ...delivery } = planRun(file, { env, uid, notifyPort });
  throwIfAny([
    ...problems,
    ...await programProblems(programs, file, kernelVsock),
    ...places.problems,
    ...(notifySocket !== '' && manager === undefined ? [missing('systemd-notify is not there, and $NOTIFY_SOCKET is to be told of the guest', 'apt-get install systemd')] : []),
  ]);
  // Without problems it was found.
  return { ...delivery, programs, boot: places.boot as Boot, interfaces: places.interfaces, accelerator, tscKhz, vmUids, kernelVsock, manager, notifyPort };
}

/** A socket in a place of the user's own is made by the VM's process, which must be one that may. */
async function vmUidsFor({ name, vsockSocket }: RunFile, env: PreparationOptions['env'], warn: (fact: string) => void): Promise<UidRange | undefined> {
  const range = await findVmUids(env['SLICER_VM_UIDS']);
  if (range === undefined || vsockSocket === undefined) return range;
  warn(`vm ${name} runs as root and not as a user of its own, since its VSOCK socket is to be ${vsockSocket}`);
  return undefined;
}

export interface RunPlaces {
  /** Undefined where one of the problems says why. */
  readonly boot: Boot | undefined;
  readonly interfaces: readonly NetworkInterface[];
  readonly problems: readonly Problem[];
}

/** What the file names of this machine besides secrets. `path` is PATH. */
export async function findRunPlaces(file: RunFile, path: string): Promise<RunPlaces> {
  const [boot, hostParts, volumes] = await Promise.all([collect(findBoot(file)), findHostParts(file), volumeProblems(file.volumes, path)]);
  return {
    boot: 'value' in boot ? boot.value : undefined, interfaces: hostParts.interfaces,
    problems: [...('problems' in boot ? boot.problems : []), ...hostParts.problems, ...volumes],
  };
}

/** What is wrong on this machine with parts of a file that itself is not right. Secrets are read; nothing is planned. */
export async function partProblems(parts: SoundParts, { env, uid }: Pick<PreparationOptions, 'env' | 'uid'>): Promise<readonly Problem[]> {
  const { problems } = readSecrets(parts.secrets, { credentialsDirectory: env['CREDENTIALS_DIRECTORY'], callerUid: uid });
  const [hostParts, volumes] = await Promise.all([findHostParts(parts), volumeProblems(parts.volumes, env['PATH'] ?? '')]);
  return [...problems, ...hostParts.problems, ...volumes];
}

/** Reads the secrets, and plans which goes where; `problems` has those of both. */
export function planRun(
  file: RunFile, { env, uid, notifyPort }: Pick<PreparationOptions, 'env' | 'uid'> & { readonly notifyPort?: number | undefined },
): Pick<PreparedVm, 'secrets' | 'plan' | 'grant'> & { readonly problems: readonly Problem[] } {
  const { values, problems } = readSecrets(file.secrets, { credentialsDirectory: env['CREDENTIALS_DIRECTORY'], callerUid: uid });
  const vm = deliveryVmOf(file, GUEST_ARCH, notifyPort);
  const plan = planDelivery(vm, new Map([...values].map(([name, value]) => [name, { value }])));
  return {
    secrets: values, plan, grant: vm.grant as readonly SecretName[],
    // Those that could not be read are told of already, with why.
    problems: [...problems, ...plan.problems.filter(({ code }) => code !== 'secret_not_found')],
  };
}

export async function findBoot({ boot }: Pick<RunFile, 'boot'>): Promise<Boot> {
  if (boot.kind === 'image') {
    const image = await findGuestImage(boot.image);
    return { ...image, cmdline: boot.cmdline ?? image.cmdline };
  }
  const { kernel, initrd, cmdline } = boot;
  const files = [kernel, ...(initrd === undefined ? [] : [initrd])];
  const problems = await Promise.all(files.map(async (path): Promise<Problem[]> =>
    access(path, constants.R_OK).then(() => [], ({ code }: NodeJS.ErrnoException) => [missing(`${path} can't be read: ${code}`)])));
  throwIfAny(problems.flat());
  return { kernel, ...(initrd === undefined ? {} : { initrd }), cmdline, disks: [] };
}

export async function findRunPrograms(path: string): Promise<RunPrograms> {
  const [programs, flock = '/usr/bin/flock'] = await Promise.all([findPrograms(path), findProgram('flock', path)]);
  return { ...programs, flock };
}

async function programProblems(programs: RunPrograms, { vmm }: RunFile, kernelVsock: boolean): Promise<readonly Problem[]> {
  const ofVm = await collect(checkPrograms(programs, vmm, kernelVsock));
  const own = await Promise.all([programs.flock].map((program) =>
    access(program, constants.X_OK).then((): Problem[] => [], () => [missing(`no program at ${program}`, 'apt-get install util-linux')])));
  return [...('problems' in ofVm ? ofVm.problems : []), ...own.flat()];
}

/** What came of it, or the problems that were thrown. */
export function collect<T>(work: Promise<T>): Promise<{ readonly value: T } | { readonly problems: readonly Problem[] }> {
  return work.then((value) => ({ value }), (error: unknown) => {
    if (error instanceof SlicerError) return { problems: error.problems };
    throw error;
  });
}

const missing = (message: string, hint?: string): Problem => ({ code: 'missing_part', message, ...(hint === undefined ? {} : { hint }) });
