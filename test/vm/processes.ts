// What /proc tells of the processes of this machine: which belong to a daemon's directory, and what
// anybody on the machine could read of their arguments and environments.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { LIMIT_MS } from './patience.ts';

export interface ProcessView {
  readonly pid: number;
  /** Arguments, each ended by NUL. */
  readonly cmdline: Buffer;
  readonly environ: Buffer;
  readonly cwd: string;
}

/** All processes but those that end while one looks. Kernel threads have an empty command line. */
export function allProcesses(): ProcessView[] {
  return readdirSync('/proc').filter((entry) => /^[0-9]+$/.test(entry)).flatMap((entry) => {
    try {
      return [{
        pid: Number(entry),
        cmdline: readFileSync(`/proc/${entry}/cmdline`),
        environ: readFileSync(`/proc/${entry}/environ`),
        cwd: orEmpty(() => readlinkSync(`/proc/${entry}/cwd`)),
      }];
    } catch {
      return [];
    }
  });
}

/** Processes that run in `directory`, or name it in their arguments or environment; not this one. */
export function processesOf(directory: string): ProcessView[] {
  return allProcesses().filter(({ pid, cmdline, environ, cwd }) =>
    pid !== process.pid && (cmdline.includes(directory) || environ.includes(directory) || cwd.startsWith(directory)));
}

/** Whether it is a VM's vhost-device-vsock, whose program may have no path that its user can reach. */
export const isVsockDevice = ({ cmdline }: ProcessView): boolean => cmdline.includes('--guest-cid\0');

/** Resolves when none is left, at the latest after `limitMs`; with those that are. */
export async function untilGone(directory: string, limitMs = LIMIT_MS): Promise<ProcessView[]> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const left = processesOf(directory);
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Resolves when the process has ended: what is no child of ours can only be looked at. */
export async function untilEnded(pid: number, limitMs = LIMIT_MS): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline) throw new Error(`process ${pid} still runs after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function isAlive(pid: number): boolean {
  const stat = orEmpty(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
