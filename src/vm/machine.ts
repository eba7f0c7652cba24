// One VM from its launch or adoption to its removal. All changes of its state go through one queue, so
// that a launch, the death of a process and a deletion never interleave. What is on disk is written
// before what it allows: the intent before the first process, the record before anybody relies on it.
import { encodeBootItems, ownCredentials } from '../delivery/boot-items.ts';
import { bootChannelOf, type BootChannel } from '../delivery/hypervisor.ts';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import type { ProcessPlan, Vmm, VmmControl } from '../vmm/contract.ts';
import { vmmFor } from '../vmm/drivers.ts';
import { readLastLines } from './console-log.ts';
import type { GuestMaterial, LaunchedVm, LaunchHooks, LaunchRequest } from './contract.ts';
import { hasPoweredOff, powerOff } from './guest-end.ts';
import { checkGuestFiles } from './guest-files.ts';
import { readMaterial, removeUserdata } from './guest-material.ts';
import { isAlive } from './process-table.ts';
import { checkPrograms } from './programs.ts';
import type { MachineParts } from './machine-parts.ts';
import type { LaunchedRecord } from './record.ts';
import { socketsIn } from './runtime-directory.ts';
import { startVm } from './start.ts';
import { launchSpec } from './launch-spec.ts';
import { launchedVm } from './view.ts';
import { clearPlace, makePlace, ownUserOf } from './vm-place.ts';
import { HOST_PORT } from '../wire/ports.ts';
import { VsockKeeper } from './vsock-keeper.ts';
import { startVsockOf, vsockReplacementOf } from './vsock-process.ts';
import type { WatchedProcess } from './watched-process.ts';

const LAST_LINES = 20;
/** An adopted VMM that does not answer by then is left running; it still ends by signal. */
const ADOPT_LIMIT_MS = 5_000;

export class Machine {
  readonly #parts: MachineParts;
  readonly #launching = new AbortController();
  #record: LaunchedRecord;
  #control: VmmControl | undefined;
  #vsock: VsockKeeper | undefined;
  #lastConsoleLines: readonly string[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #removed = false;
  #closed = false;

  constructor(record: LaunchedRecord, parts: MachineParts) {
    this.#record = record;
    this.#parts = parts;
  }

  get hostname(): string {
    return this.#record.hostname;
  }

  get guestCid(): number {
    return this.#record.guest_cid;
  }

  get hostPort(): number | undefined {
    return this.#record.host_port;
  }

  get isRemoved(): boolean {
    return this.#removed;
  }

  /** Whether processes of this VM run or are about to. */
  get isLive(): boolean {
    return ['starting', 'running', 'stopping'].includes(this.#record.status);
  }

  get snapshot(): LaunchedVm {
    return launchedVm(this.#record, this.#lastConsoleLines);
  }

  get #vmm(): Vmm {
    return vmmFor(this.#record.vmm, this.#parts.arch, this.#parts.programs);
  }

  get #bootChannel(): BootChannel | undefined {
    return bootChannelOf(this.#record.vmm, this.#parts.arch);
  }

  get #directory(): string {
    return this.#parts.records.of(this.hostname);
  }

  /** Rejects with everything undone; the VM is then removed. */
  launch(request: LaunchRequest, hooks: LaunchHooks): Promise<LaunchedVm> {
    return this.#enqueue(async () => {
      try {
        await checkPrograms(this.#parts.programs, this.#record.vmm, this.#record.host_port !== undefined);
        await checkGuestFiles(request);
        this.#launching.signal.throwIfAborted();
        const uid = await this.#parts.users?.claim(this.#directory);
        if (uid !== undefined) this.#record = { ...this.#record, uid };
        await this.#parts.records.create(this.#record);
      } catch (error) {
        if (this.#record.uid !== undefined) await this.#parts.users?.release(this.#directory, this.#record.uid);
        this.#removed = true;
        this.#parts.changed(this.hostname);
        throw error;
      }
      try {
        await this.#start(request, hooks);
        return this.snapshot;
      } catch (error) {
        await this.#remove();
        throw error;
      }
    });
  }

  /** Brings a VM that was found on disk to where this daemon can go on: watched, ended, or gone. */
  adopt(): Promise<void> {
    return this.#enqueue(async () => {
      const { status, processes, boot_id } = this.#record;
      if (status === 'starting' || status === 'stopping') return this.#remove();
      if (status !== 'running') {
        this.#lastConsoleLines = await readLastLines(this.#directory, LAST_LINES);
        return;
      }
      // A VSOCK device that can get another process is mended below.
      const needed = processes.filter(({ role }) => role === 'vmm' || (role === 'vsock' && vsockReplacementOf(this.#record, this.#vmm) === undefined));
      if (boot_id !== this.#parts.bootId || !needed.every(isAlive)) {
        return this.#end('failed', 'it ended while no daemon watched it');
      }
      try {
        const sockets = socketsIn(this.#record.runtime_directory, this.#record.uid);
        this.#takeControl(await this.#vmm.connect(sockets, AbortSignal.timeout(ADOPT_LIMIT_MS)));
      } catch (error) {
        this.#parts.warn(`vm "${this.hostname}" runs, but its VMM does not answer: ${(error as Error).message}`);
      }
      this.#watch(processes.filter((identity) => identity.role !== 'console' || isAlive(identity)).map((identity) => this.#parts.poll.watch(identity)));
      // It may have been just before.
      this.#vsock?.guestReset();
    });
  }

  /** Ends what runs and removes what is on disk. A second call waits for the first. */
  delete(): Promise<void> {
    this.#launching.abort(fail('launch_failed', `vm "${this.hostname}" was deleted while it started`));
    return this.#enqueue(async () => {
      if (this.#removed) return;
      if (this.#record.status === 'running') {
        // On a full disk the VM ends all the same; only a crash right now would then leave it running.
        await this.#save({ status: 'stopping' }).catch((error: Error) =>
          this.#parts.warn(`vm "${this.hostname}": ${error.message}`));
        this.#parts.changed(this.hostname);
        this.#vsock?.close();
        await powerOff(this.#record, this.#control);
      }
      await this.#remove();
    });
  }

  /** Lets go of the VM, after what is under way; a launch is ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#vsock?.close();
    this.#launching.abort(fail('shutting_down', `vm "${this.hostname}" was not started: slicer is shutting down`));
    await this.#enqueue(async () => this.#control?.close());
  }

  async guestMaterial(): Promise<GuestMaterial> {
    const { status, runtime_directory, userdata } = this.#record;
    if (status !== 'starting' && status !== 'running') {
      throw fail('vm_not_running', `vm "${this.hostname}" is ${status}`);
    }
    return readMaterial(runtime_directory, {
      bootToken: this.#bootChannel !== undefined, userdata: userdata.state === 'waiting',
    });
  }

  userdataClaimed(): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#record.userdata.state !== 'waiting' || this.#record.status !== 'running') {
        throw fail('vm_not_running', `vm "${this.hostname}" has no userdata that waits`);
      }
      await this.#save({ userdata: { state: 'claimed' } });
      await removeUserdata(this.#record.runtime_directory);
      this.#parts.changed(this.hostname);
    });
  }

  userdataDone(exitCode: number): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#record.userdata.state !== 'claimed' || this.#removed) return;
      await this.#save({ userdata: { state: 'done', exit_code: exitCode } });
      this.#parts.changed(this.hostname);
    });
  }

  async #start(request: LaunchRequest, hooks: LaunchHooks): Promise<void> {
    const signal = this.#launching.signal;
    const { runtime_directory: runtimeDirectory, host_port: hostPort = HOST_PORT } = this.#record;
    const channel = this.#bootChannel;
    const bootToken = channel === undefined ? undefined : this.#parts.newBootToken();
    const credentials = bootToken === undefined ? [] : ownCredentials(bootToken, hostPort);
    const items = encodeBootItems(channel, [...credentials, ...request.credentials], request.oemStrings);
    const spec = launchSpec(this.#record, request, items, this.#parts);
    const values = items.map(({ value }) => value);
    throwIfAny(this.#vmm.problems(spec, values));
    const own = await ownUserOf(spec, this.#record, this.#parts.users, this.#parts.uid);
    // On disk before it is done.
    if (own !== undefined && own.lent.length > 0) await this.#save({ lent: [...own.lent] });
    const { userdata } = request;
    await makePlace(runtimeDirectory, this.#parts.uid, { ...(bootToken && { bootToken }), ...(userdata && { userdata }) }, own);
    await hooks.beforeStart(this.snapshot);
    signal.throwIfAborted();

    const { processes, control } = await startVm({
      spec, values, vmDirectory: this.#directory, runtimeDirectory, user: own?.user,
    }, { ...this.#parts, vmm: this.#vmm }, signal);
    this.#takeControl(control);
    await this.#save({ status: 'running', processes: processes.map(({ identity }) => identity) });
    this.#watch(processes);
    this.#parts.changed(this.hostname);
  }

  #takeControl(control: VmmControl): void {
    this.#control = control;
    control.onReset(() => {
      this.#parts.reset(this.hostname);
      this.#vsock?.guestReset();
    });
  }

  #watch(processes: readonly WatchedProcess[]): void {
    this.#vsock = new VsockKeeper({
      replacement: vsockReplacementOf(this.#record, this.#vmm),
      control: this.#control,
      processes,
      start: (plan) => this.#enqueue(() => this.#startVsock(plan)),
      lost: (reason) => void this.#ended('failed', reason),
      tell: (what) => this.#parts.warn(`the VSOCK device of vm "${this.hostname}" ${what}`),
    });
    for (const { identity, ended } of processes) {
      if (identity.role !== 'vsock') void ended.then((how) => this.#processEnded(identity.role, how));
    }
  }

  async #startVsock(plan: ProcessPlan): Promise<WatchedProcess> {
    if (this.#record.status !== 'running' || this.#closed) throw new Error('the VM ends');
    const { process, processes } = await startVsockOf(this.#record, plan, this.#directory, this.#parts.programs);
    await this.#save({ processes });
    return process;
  }

  async #ended(status: 'stopped' | 'failed', reason: string): Promise<void> {
    await this.#enqueue(async () => {
      if (this.#record.status === 'running' && !this.#closed) await this.#end(status, reason);
    }).catch((error: Error) => this.#parts.warn(`vm "${this.hostname}": ${error.message}`));
  }

  async #processEnded(role: string, how: string): Promise<void> {
    if (this.#record.status !== 'running' || this.#closed) return;
    if (role === 'console') return this.#parts.warn(`the console log of vm "${this.hostname}" ${how}; it is no longer written`);
    if (await hasPoweredOff(this.#control, how)) await this.#ended('stopped', 'the guest powered itself off');
    else await this.#ended('failed', `its VMM ${how}`);
  }

  /** Tells of the end first: clearing what is left can take seconds. */
  async #end(status: 'stopped' | 'failed', reason: string): Promise<void> {
    // The end is told with what the log has; its writer may still have some, and ends with the other processes.
    this.#lastConsoleLines = await readLastLines(this.#directory, LAST_LINES);
    this.#record = { ...this.#record, status, reason };
    this.#parts.changed(this.hostname);
    await this.#clear();
    this.#lastConsoleLines = await readLastLines(this.#directory, LAST_LINES);
    await this.#save({ processes: [] });
    this.#parts.changed(this.hostname);
  }

  /** Processes, sockets, boot token, userdata: everything but the record and the log. */
  async #clear(): Promise<void> {
    await clearPlace(this.#record, this.#directory, this.#parts);
    this.#vsock?.close();
    this.#control?.close();
    this.#control = undefined;
  }

  async #remove(): Promise<void> {
    await this.#clear();
    await this.#parts.records.remove(this.hostname);
    this.#removed = true;
    this.#parts.changed(this.hostname);
  }

  async #save(change: Partial<LaunchedRecord>): Promise<void> {
    const next = { ...this.#record, ...change };
    await this.#parts.records.replace(next);
    this.#record = next;
  }

  #enqueue<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(operation);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
