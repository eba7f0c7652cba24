// Waits for child processes: SIGCHLD, then one waitpid for each child that somebody waits for.
import * as os from 'os';

type Listener = (status: number) => void;

const waiting = new Map<number, Listener>();

/** Calls `listener` once with the exit code of `pid`, or 128 + the signal's number. */
export function onceExited(pid: number, listener: Listener): void {
  waiting.set(pid, listener);
  os.signal(os.SIGCHLD, reap);
  // It may have ended before the handler stood.
  os.setTimeout(reap, 0);
}

function reap(): void {
  for (const [pid, listener] of waiting) {
    const [ended, status] = os.waitpid(pid, os.WNOHANG);
    if (ended !== pid) continue;
    waiting.delete(pid);
    const signal = status & 0x7f;
    listener(signal === 0 ? (status >> 8) & 0xff : 128 + signal);
  }
}
