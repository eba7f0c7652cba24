// One VM in the foreground, from its file to its end, with no daemon:
//
//   1. everything is looked at and the secrets are read (preparation.ts); nothing is there yet that could be left
//   2. the VM's directory is claimed
//   3. the live channel and the notification socket listen; then, as only they stay, missing disks are made
//   4. the VM's processes start; from here on they end with this one, whatever ends it
//   5. it is waited for: the guest powers off, somebody asks for the end, or a process of the VM dies
//   6. everything goes, in the reverse order
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { RunFile } from '../config/run-file.ts';
import { encodeBootItems, ownCredentials } from '../delivery/boot-items.ts';
import { credentialValue, type SystemCredential } from '../delivery/oem-strings.ts';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import { Archives } from '../live/archives.ts';
import type { LiveVm } from '../live/contract.ts';
import { randomHex } from '../live/dependencies.ts';
import { fixedSecrets } from '../live/fixed-secrets.ts';
import { LIVE_LIMITS } from '../live/limits.ts';
import { startLiveVm } from '../live/live-vm.ts';
import { clearDeadSocket } from '../live/socket-listener.ts';
import { Secret } from '../secret/secret.ts';
import { drawCid, drawHostPort, withHostPort } from '../vm/drawn-address.ts';
import { GUEST_ARCH } from '../vm/found-programs.ts';
import { newBootToken } from '../vm/guest-material.ts';
import { memoryDirectories, openToVm, socketsIn } from '../vm/runtime-directory.ts';
import { endVm, startInPlace, startVm, type StartedVm } from '../vm/start.ts';
import { takeForegroundUser, type ForegroundUser } from '../vm/vm-place.ts';
import { VmUsers } from '../vm/vm-user.ts';
import type { VmSpec, VsockDevice } from '../vmm/contract.ts';
import { vmmFor } from '../vmm/drivers.ts';
import { HOST_PORT } from '../wire/ports.ts';
import type { ForegroundAudit } from './audit.ts';
import { claimDirectory, directoryOf } from './claim.ts';
import { foregroundConsole, type ConsoleOutput } from './console.ts';
import { NOTIFY_CREDENTIAL, notifyAddress } from './delivery.ts';
import { startNotifyForwarder } from './notify-forwarder.ts';
import { prepareVm, type PreparedVm } from './preparation.ts';
import { specOf } from './spec.ts';
import { makeVolumes } from './volumes.ts';
import { untilEnd, type RunEnd, type StopRequests } from './vm-end.ts';
import { keepVsock } from './vsock-process.ts';

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly stop: StopRequests;
  /** Resolves when this process may hold secrets. */
  readonly isPrivate: Promise<void>;
  readonly console: Omit<ConsoleOutput, 'warn'>;
  /** Where what happens is put on record; nowhere when absent. The caller closes it. */
  readonly audit?: ForegroundAudit | undefined;
  readonly say: (fact: string) => void;
  readonly warn: (fact: string) => void;
}

/** A VMM that takes longer to take its configuration hangs. */
const START_LIMIT_MS = 60_000;

/** `graceMs`: how long the guest may take to power off when asked to; 0: it is not asked. Throws every problem at once. */
export async function runVm(file: RunFile, graceMs: number, around: Surroundings): Promise<RunEnd> {
  const prepared = await prepareVm(file, around);
  const run = (vsock: VsockDevice): Promise<RunEnd> => runPrepared(file, prepared, vsock, graceMs, around);
  if (!prepared.kernelVsock) return run({ kind: 'vhost-device-vsock' });
  return withHostPort((refused) => drawHostPort(randomBytes, refused), (hostPort) => run({ kind: 'kernel', hostPort }));
}

async function runPrepared(file: RunFile, prepared: PreparedVm, vsock: VsockDevice, graceMs: number, around: Surroundings): Promise<RunEnd> {
  const { uid, env, stop } = around;
  const directory = await directoryOf(file.name, uid, env, prepared.vmUids !== undefined);
  const bootToken = prepared.plan.bootChannel === undefined ? undefined : newBootToken(randomBytes);
  const items = encodeBootItems(prepared.plan.bootChannel, bootCredentials(prepared, bootToken, vsock), file.staticOemStrings);
  const sockets = { ...socketsIn(directory), ...(file.vsockSocket === undefined ? {} : { vsock: file.vsockSocket }) };
  const named = specOf(file, { ...prepared, guestCid: file.cid ?? drawCid(randomBytes, new Set()), vsock, sockets, items });
  const vmm = vmmFor(file.vmm, GUEST_ARCH, prepared.programs);
  const values = items.map(({ value }) => value);
  throwIfAny(vmm.problems(named, values));

  const undo: (() => Promise<void>)[] = [];
  try {
    const claim = await claimDirectory(directory, uid, prepared.programs.flock);
    undo.push(() => claim.release());
    if (file.vsockSocket !== undefined) {
      await clearDeadSocket(file.vsockSocket);
      undo.push(() => rm(named.sockets.vsock, { force: true }));
    }
    const own = await takeUser(directory, prepared, around);
    undo.push(() => own?.release() ?? Promise.resolve());
    const spec: VmSpec = own === undefined ? named : { ...named, sockets: { ...named.sockets, owner: own.uid } };
    const live = await serve(file, prepared, spec, bootToken, around);
    undo.push(() => live.close());
    if (prepared.manager !== undefined) undo.push(await tellManager(prepared, spec, live));
    await makeVolumes(file.volumes, env['PATH'] ?? '', around.say, stop.asked);
    const user = await own?.prepare(spec, file.vmm.hypervisor);

    const console = foregroundConsole({ ...around.console, warn: around.warn });
    const start = (): Promise<StartedVm> => startVm({ spec, values, vmDirectory: directory, runtimeDirectory: directory, user }, {
      vmm, programs: prepared.programs, endsWithThis: true, startLimitMs: START_LIMIT_MS, console,
    }, stop.asked);
    const { plan, grant } = prepared;
    const granted = { vm: file.name, grant, boot: plan.bootCredentials, live: plan.liveCredentials };
    const started = await (around.audit === undefined ? start() : around.audit.grant(granted, start));
    const vsockProcess = keepVsock(started, vmm.vsockReplacement?.(spec), (replacement) => startInPlace(replacement, directory, { programs: prepared.programs, endsWithThis: true }, user),
      (what) => around.warn(`vm ${file.name}: its VSOCK device ${what}`));
    undo.push(async () => {
      console.silenceVmm();
      vsockProcess.close();
      await endVm([...started.processes, ...vsockProcess.replacements].map(({ identity }) => identity));
      started.control.close();
      await console.ended();
    });
    started.control.onReset(() => {
      live.guestReset();
      vsockProcess.guestReset();
    });
    around.say(`vm ${file.name} started`);
    return await untilEnd(started, vsockProcess.lost, graceMs, stop, around.say);
  } catch (error) {
    if (!stop.asked.aborted || error !== stop.asked.reason) throw error;
    return { kind: 'asked', reason: 'it was asked to end before its guest had started' };
  } finally {
    await undoAll(undo.reverse(), around.warn);
  }
}

/** The VM's own user, where VMs have one, who then may make sockets in its directory. */
async function takeUser(directory: string, { vmUids }: PreparedVm, { uid: ownUid, env }: Surroundings): Promise<ForegroundUser | undefined> {
  if (vmUids === undefined) return undefined;
  const user = await takeForegroundUser(await VmUsers.open(vmUids, ownUid, memoryDirectories(env)), directory, ownUid);
  await openToVm(directory, ownUid, user.uid);
  return user;
}

/** One that fails keeps none of the others from being done. */
async function undoAll(steps: readonly (() => Promise<void>)[], warn: (fact: string) => void): Promise<void> {
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      warn((error as Error).message);
    }
  }
}

function bootCredentials({ plan, secrets, notifyPort }: PreparedVm, bootToken: Secret | undefined, vsock: VsockDevice): SystemCredential[] {
  if (bootToken === undefined) return [];
  const text = (value: string): Secret => new Secret(Buffer.from(value));
  return [
    ...ownCredentials(bootToken, vsock.kind === 'kernel' ? vsock.hostPort : HOST_PORT),
    ...(notifyPort === undefined ? [] : [{ name: NOTIFY_CREDENTIAL, value: text(notifyAddress(notifyPort)) }]),
    // A plan without problems has a source for each.
    ...plan.bootCredentials.map((wish) => ({ name: wish.name, value: credentialValue(wish, secrets.get(wish.secret) as Secret) })),
  ];
}

async function serve(file: RunFile, { secrets, plan, grant }: PreparedVm, spec: VmSpec, bootToken: Secret | undefined, { say, warn, audit }: Surroundings): Promise<LiveVm> {
  const live = await startLiveVm(fixedSecrets(secrets, Date.now()), {
    hostname: file.name, vsockPath: spec.sockets.vsock, vmUid: spec.sockets.owner, grant, credentials: plan.liveCredentials,
    ...(bootToken === undefined ? {} : { bootToken }),
  }, {
    log: { info: () => undefined, warn: (_fields, message) => warn(`vm ${file.name}: ${message}`) },
    nowMs: Date.now, randomHex, archives: new Archives(), limits: LIVE_LIMITS,
    ...(audit === undefined ? {} : { witness: audit.witness }),
  });
  let said = '';
  live.onStatus(() => {
    const { synced, deliveries } = live.status();
    const state = `${deliveries.filter((delivery) => delivery.state === 'current').length} of ${deliveries.length}`;
    if (!synced || deliveries.length === 0 || state === said) return;
    said = state;
    say(`vm ${file.name} holds ${state} live deliveries`);
  });
  return live;
}

/** The guest's own word where it has one, else that its agent holds the secrets. */
async function tellManager({ manager, notifyPort }: PreparedVm, { sockets }: VmSpec, live: LiveVm): Promise<() => Promise<void>> {
  if (notifyPort !== undefined) {
    const forwarder = await startNotifyForwarder(sockets.vsock, sockets.owner, (notice) => manager?.tell(notice));
    return () => forwarder.close();
  }
  const ended = new AbortController();
  void live.whenSynced(ended.signal).then(() => manager?.tell({ ready: true, status: 'the guest\'s agent is up' }), () => undefined);
  return async () => ended.abort(fail('vm_not_running', 'the vm ended'));
}
