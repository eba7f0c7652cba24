// How a VM in the foreground ends.
import { setTimeout as delay } from 'node:timers/promises';
import type { StartedVm } from '../vm/start.ts';
import { ENDED_WELL } from '../vm/watched-process.ts';

export interface RunEnd {
  /**
   * `guest`: it powered itself off; `asked`: it was asked to, and did; `forced`: it did not, and was ended;
   * `failed`: its VMM or VSOCK device died.
   */
  readonly kind: 'guest' | 'asked' | 'forced' | 'failed';
  /** What happened, for a human. */
  readonly reason: string;
}

/** What somebody asked for from outside. */
export interface StopRequests {
  /** Aborts when the VM is to end. */
  readonly asked: AbortSignal;
  /** Aborts when it is to end at once. */
  readonly insisted: AbortSignal;
}

const PRESS_AGAIN_MS = 5_000;

/** Resolves when the guest runs no more, or should run no more: what is left of the VM is the caller's to end. `vsockLost`: with why its VSOCK device is gone for good. */
export async function untilEnd(started: StartedVm, vsockLost: Promise<string>, graceMs: number, stop: StopRequests, say: (fact: string) => void): Promise<RunEnd> {
  const ended = endOf(started, vsockLost);
  const first = await Promise.race([ended, aborted(stop.asked)]);
  if (first !== undefined) return first;
  if (graceMs === 0) return { kind: 'asked', reason: 'it was ended: nothing in it needs to be saved' };
  say(`the guest is asked to power off; it has ${graceMs / 1000} s, and a second signal ends it at once`);
  // A guest or a VMM that can't take the order is ended when the grace is over.
  const press = (): void => void started.control.powerButton().catch(() => undefined);
  press();
  // One that is still on its way up has nobody yet who listens.
  const pressing = setInterval(press, PRESS_AGAIN_MS);
  const timer = new AbortController();
  const last = await Promise.race([
    ended, aborted(stop.insisted).then(() => 'insisted' as const), delay(graceMs, 'late' as const, { signal: timer.signal }).catch(() => 'late' as const),
  ]);
  timer.abort();
  clearInterval(pressing);
  if (last === 'insisted') return { kind: 'forced', reason: 'it was ended by a second signal, while the guest powered off' };
  if (last === 'late') return { kind: 'forced', reason: `it was ended: the guest had not powered off within ${graceMs / 1000} s` };
  return last.kind === 'guest' ? { kind: 'asked', reason: 'the guest powered off when asked to' } : last;
}

async function endOf({ processes, control }: StartedVm, vsockLost: Promise<string>): Promise<RunEnd> {
  const of = (role: string): Promise<string>[] => processes.filter(({ identity }) => identity.role === role).map(({ ended }) => ended);
  // QEMU says so before its socket closes, the others by their exit code.
  const vmm = Promise.race(of('vmm')).then(async (how): Promise<RunEnd> => (await (control.ended ?? how === ENDED_WELL)
    ? { kind: 'guest', reason: 'the guest powered itself off' } : { kind: 'failed', reason: `its VMM ${how}` }));
  return Promise.race([vmm, vsockLost.then((reason): RunEnd => ({ kind: 'failed', reason }))]);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
