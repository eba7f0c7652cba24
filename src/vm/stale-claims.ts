// Claims of users for VMs that are no more: somebody removed the daemon's directory, and none came that would give
// them back. A claim goes when the VM's directory is not there, no process runs as the user, and it is older than
// any launch, which claims the user first and makes the directory then.
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

const OLD_MS = 10 * 60 * 1000;

/** `directory`: that of all claims, where it is there and `ownUid`'s. What can't be removed stays. `nowMs`: since 1970. */
export function removeStaleClaims(directory: string, ownUid: number, nowMs: number): void {
  try {
    const stats = lstatSync(directory);
    if (!stats.isDirectory() || stats.uid !== ownUid) return;
    const stale = readdirSync(directory).filter((name) => /^[0-9]+$/.test(name) && isStale(join(directory, name), nowMs));
    if (stale.length === 0) return;
    const users = usersOfProcesses();
    for (const uid of stale) {
      // Looked at once more in the same breath: it may be another VM's by now.
      if (!users.has(uid) && isStale(join(directory, uid), nowMs)) unlinkSync(join(directory, uid));
    }
    rmdirSync(directory);
  } catch {
    // Not there, or others are left in it.
  }
}

function isStale(link: string, nowMs: number): boolean {
  const stats = lstatSync(link, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isSymbolicLink() || nowMs - stats.mtimeMs < OLD_MS) return false;
  return statSync(readlinkSync(link), { throwIfNoEntry: false }) === undefined;
}

/** Whoever is some process's user. */
function usersOfProcesses(): Set<string> {
  return new Set(readdirSync('/proc').filter((entry) => /^[0-9]+$/.test(entry)).flatMap((pid) => {
    try {
      return usersIn(readFileSync(`/proc/${pid}/status`, 'latin1'));
    } catch {
      // It has ended.
      return [];
    }
  }));
}

/**
 * proc_pid_status(5): real, effective, saved and of the file system. The name of the program, which comes before, has
 * no line feed, but may have a carriage return, which for `^` begins a line.
 */
export const usersIn = (status: string): string[] => /\nUid:\t([0-9\t]*)\n/.exec(status)?.[1]?.split('\t') ?? [];
