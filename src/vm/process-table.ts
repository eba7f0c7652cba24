// Which processes are a VM's. After a restart of the daemon a process is known by its id together with
// its start time; one that was started just before a crash, and never written down, by the mark in its
// environment. Nothing is signalled that is not known in one of these ways.
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fail } from '../errors/slicer-error.ts';
import type { ProcessIdentity } from './record.ts';

/** The variable that marks a VM's processes; its value is the VM's directory, which says nothing secret. */
export const PROCESS_MARK = 'SLICER_VM';

/** How often a process that is not a child is looked at while somebody waits for its end. */
const END_POLL_MS = 10;

/** A process that the kernel holds (a dead disk, say) does not end even then. */
const KILL_LIMIT_MS = 30_000;

/** Environments read at a time: each takes 64 KiB, and a machine may have thousands of processes. */
const READ_WIDTH = 4;

type Identity = Pick<ProcessIdentity, 'pid' | 'start_time'>;

export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** Start time in clock ticks since boot; undefined when the process has ended (zombies have). */
export function startTimeOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  return startTimeIn(stat);
}

/** proc_pid_stat(5): the command in brackets may hold anything; fields count from 3 after it. */
export function startTimeIn(stat: string): number | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] as string;
  const startTime = fields[22 - 3] ?? '';
  return state === 'Z' || state === 'X' || !/^[0-9]{1,15}$/.test(startTime) ? undefined : Number(startTime);
}

export function isAlive(identity: Identity): boolean {
  return startTimeOf(identity.pid) === identity.start_time;
}

/** Processes whose environment carries the mark of the VM with this directory. */
export async function findMarked(vmDirectory: string): Promise<readonly Identity[]> {
  const mark = `${PROCESS_MARK}=${vmDirectory}`;
  const pids = (await readdir('/proc')).filter((entry) => /^[0-9]+$/.test(entry)).map(Number);
  const found: Identity[] = [];
  const look = async (): Promise<void> => {
    for (let pid = pids.pop(); pid !== undefined; pid = pids.pop()) {
      const startTime = startTimeOf(pid);
      // The files of other users' processes can't be read: those are not ours.
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      if (startTime !== undefined && environment.split('\0').includes(mark) && startTimeOf(pid) === startTime) found.push({ pid, start_time: startTime });
    }
  };
  await Promise.all(Array.from({ length: READ_WIDTH }, look));
  return found;
}

/** Resolves with whether all have ended within `limitMs`. */
export async function waitForEnd(identities: readonly Identity[], limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (identities.some(isAlive)) {
    if (performance.now() >= deadline) return false;
    await delay(END_POLL_MS);
  }
  return true;
}

/** Ends processes: asks (SIGTERM), and after `graceMs` forces (SIGKILL). Resolves when all have ended. Throws `internal`. */
export async function endProcesses(identities: readonly Identity[], graceMs: number): Promise<void> {
  signalAll(identities, 'SIGTERM');
  if (await waitForEnd(identities, graceMs)) return;
  signalAll(identities, 'SIGKILL');
  if (await waitForEnd(identities, KILL_LIMIT_MS)) return;
  throw fail('internal', `processes ${identities.filter(isAlive).map(({ pid }) => pid).join(', ')} do not end on SIGKILL`);
}

function signalAll(identities: readonly Identity[], signal: NodeJS.Signals): void {
  for (const identity of identities) {
    if (!isAlive(identity)) continue;
    try {
      process.kill(identity.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
