// Keeps a VM's VSOCK process alive: when it ends, and its VMM does not, another takes its place where the VMM
// can bring that to a guest that runs on; where it can't, the VM has failed. Something may end each of them (a guest
// that restarts all the time does): then the next ones come later, and no VM fails for it.
//
// A vhost-device-vsock 0.3.0 that goes on, without the thread that does its work, counts as ended. That
// thread ends when anything happens on the host's side, a close included, while the guest has set no queues
// up: after a reset, until the guest's next kernel has. So it is looked at from a reset on.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProcessPlan, VmmControl, VsockReplacement } from '../vmm/contract.ts';
import type { ProcessIdentity } from './record.ts';
import { isAlive } from './process-table.ts';
import type { WatchedProcess } from './watched-process.ts';

/** A VSOCK process ends with its VMM, and may be noticed first. A VMM that ends closes its control socket before. */
const VMM_CLOSES_MS = 150;
const VMM_ENDS_MS = 2_000;
/** How many may take the place of another within how many milliseconds, before the next has to wait. */
const REPLACEMENT_PACE = { count: 5, withinMs: 60_000 };
const WORKER = 'vring_worker';
const WORKER_LOOK_MS = 250;
/** As long as a guest may take from its reset until its kernel has set up its devices. */
const WORKER_LOOKS_MS = 600_000;

export interface VsockKeeperParts {
  readonly replacement: VsockReplacement | undefined;
  /** Undefined where the VMM does not answer. */
  readonly control: VmmControl | undefined;
  /** Starts the process, and resolves once it listens and is on record. */
  readonly start: (plan: ProcessPlan) => Promise<WatchedProcess>;
  /** All of the VM. */
  readonly processes: readonly WatchedProcess[];
  /** Called once, when the VM is to go on without VSOCK. */
  readonly lost: (reason: string) => void;
  /** Told what somebody may want to know of the process, as the end of a sentence. */
  readonly tell: (what: string) => void;
  /** `REPLACEMENT_PACE` unless given. */
  readonly pace?: { readonly count: number; readonly withinMs: number };
}

export class VsockKeeper {
  readonly #parts: VsockKeeperParts;
  readonly #closing = new AbortController();
  readonly #replacedAtMs: number[] = [];
  readonly #vmmEnded: Promise<unknown>;
  #process: ProcessIdentity | undefined;
  #worker: NodeJS.Timeout | undefined;
  /** Whether a process of this build names the thread. */
  #namesWorker = true;

  constructor(parts: VsockKeeperParts) {
    this.#parts = parts;
    const of = (role: string): readonly WatchedProcess[] => parts.processes.filter(({ identity }) => identity.role === role);
    this.#vmmEnded = Promise.race(of('vmm').map(({ ended }) => ended));
    for (const process of of('vsock')) this.#watch(process);
  }

  /** The guest's machine was reset, or may have been before anybody watched. */
  guestReset(): void {
    clearInterval(this.#worker);
    if (this.#closing.signal.aborted || this.#parts.replacement?.replugs !== true) return;
    const until = performance.now() + WORKER_LOOKS_MS;
    this.#worker = setInterval(() => {
      if (performance.now() > until) clearInterval(this.#worker);
      this.#lookAtWorker();
    }, WORKER_LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#worker);
    this.#closing.abort(new Error('the VM ends'));
  }

  #watch({ identity, ended }: WatchedProcess): void {
    this.#process = identity;
    void ended.then((how) => this.#ended(how));
  }

  #lookAtWorker(): void {
    const identity = this.#process;
    if (identity === undefined || !this.#namesWorker || !isAlive(identity) || hasWorker(identity.pid)) return;
    process.kill(identity.pid, 'SIGKILL');
  }

  async #ended(how: string): Promise<void> {
    const { replacement, control } = this.#parts;
    this.#process = undefined;
    if (this.#closing.signal.aborted) return;
    let why = '';
    if (replacement !== undefined && control !== undefined) {
      try {
        if (!await this.#isTurn(how)) return;
        await this.#replace(replacement, control);
        return this.#parts.tell(`${how}; another has taken its place`);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        why = `, and another could not take its place: ${(error as Error).message}`;
      }
    }
    if (!await this.#isVmmEnding() && !this.#closing.signal.aborted) this.#parts.lost(`its VSOCK device ${how}${why}`);
  }

  async #isVmmEnding(): Promise<boolean> {
    const ended = this.#vmmEnded.then(() => true);
    const closed = this.#parts.control?.ended?.then(() => 'closed' as const) ?? ended;
    const first = await Promise.race([ended, closed, delay(VMM_CLOSES_MS, false, { ref: false })]);
    return first === 'closed' ? Promise.race([ended, delay(VMM_ENDS_MS, false, { ref: false })]) : first;
  }

  async #replace({ plan, replugs }: VsockReplacement, control: VmmControl): Promise<void> {
    let process: WatchedProcess | undefined;
    const start = async (): Promise<void> => {
      process = await this.#parts.start(plan);
    };
    if (!replugs) await start();
    else if (control.replugVsock === undefined) throw new Error('its VMM can\'t be told');
    else await control.replugVsock(plan.readySocket, start, this.#closing.signal);
    const started = process as unknown as WatchedProcess;
    this.#namesWorker &&= hasWorker(started.identity.pid);
    this.#watch(started);
  }

  /** Waits until another may come; false when there is no VMM any more to bring it to. */
  async #isTurn(how: string): Promise<boolean> {
    const { count, withinMs } = this.#parts.pace ?? REPLACEMENT_PACE;
    const waitMs = Math.ceil((this.#replacedAtMs.at(-count) ?? -Infinity) + withinMs - performance.now());
    if (waitMs > 0) {
      this.#parts.tell(`${how}, as others did shortly before; the next takes its place in ${Math.ceil(waitMs / 1000)} s`);
      const isOver = await Promise.race([this.#vmmEnded.then(() => true), delay(waitMs, false, { signal: this.#closing.signal, ref: false })]);
      if (isOver) return false;
    }
    this.#replacedAtMs.push(performance.now());
    this.#replacedAtMs.splice(0, this.#replacedAtMs.length - count);
    return true;
  }
}

/** Whether the process has the thread in which the vhost-user-backend crate serves a device's queues. */
function hasWorker(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'latin1').trim() === WORKER);
  } catch {
    // A thread that ended while one looked: the next look has it right.
    return true;
  }
}
