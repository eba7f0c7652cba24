// The service manager that `slicer run` was started by, if any: what it is told goes through
// systemd-notify(1), since Node has no datagram sockets, and so needs NotifyAccess=all. One call at a time;
// while it runs only the newest of each kind waits, so that a guest that talks a lot costs one process.
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '../vm/programs.ts';
import type { GuestNotice } from './notify-message.ts';

export interface ServiceManager {
  tell(notice: GuestNotice): void;
  /** Resolves when all that was told was passed on, or could not be. */
  settled(): Promise<void>;
}

/** Between two calls: a guest could otherwise have a process started all the time. */
const PAUSE_MS = 200;

/**
 * `socket` is $NOTIFY_SOCKET, `path` is PATH. Undefined where there is no systemd-notify. `warn` is told of a
 * call that failed, once.
 */
export async function serviceManager(socket: string, path: string, warn: (fact: string) => void): Promise<ServiceManager | undefined> {
  const program = await findProgram('systemd-notify', path);
  if (program === undefined) return undefined;
  let waiting: GuestNotice | undefined;
  let isReady = false;
  let hasWarned = false;
  let running: Promise<void> = Promise.resolve();
  let calledAtMs = Number.NEGATIVE_INFINITY;
  const passOn = async (): Promise<void> => {
    while (waiting !== undefined) {
      const pauseMs = calledAtMs + PAUSE_MS - performance.now();
      if (pauseMs > 0) await delay(pauseMs);
      const { ready, status } = waiting;
      waiting = undefined;
      calledAtMs = performance.now();
      const failure = await call(program, socket, [...(ready ? ['--ready'] : []), ...(status === undefined ? [] : [`--status=${status}`])]);
      if (failure === undefined || hasWarned) continue;
      hasWarned = true;
      warn(`${program} ${failure}`);
    }
  };
  return {
    tell: (notice) => {
      // READY=1 is told once: a second one would end a reload that nobody asked for.
      const ready = (notice.ready && !isReady) || (waiting?.ready ?? false);
      isReady ||= notice.ready;
      const status = notice.status ?? waiting?.status;
      if (!ready && status === undefined) return;
      const isIdle = waiting === undefined;
      waiting = { ready, ...(status === undefined ? {} : { status }) };
      if (isIdle) running = running.then(passOn);
    },
    settled: () => running,
  };
}

/** What went wrong, as the end of a sentence. */
function call(program: string, socket: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', env: { NOTIFY_SOCKET: socket } });
    child.once('error', ({ message }) => resolve(message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`));
  });
}
