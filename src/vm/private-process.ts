// A process that holds secrets keeps them in its memory, and what it makes to itself.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fail } from '../errors/slicer-error.ts';
import { findProgramSync } from './programs.ts';

/**
 * From now on this process leaves no core dump, whatever its limits were; opens no debugger; and makes files
 * and sockets for its owner alone. `path` as PATH. Throws missing_part. What has to be waited for is another program's,
 * which is started before this returns: whatever the caller does meanwhile goes on beside it.
 */
export async function keepProcessPrivate(path: string): Promise<void> {
  process.umask(0o077);
  // Node opens its debugger, a port on which any user of the machine can read all memory, on SIGUSR1: the very
  // signal that many daemons reopen their logs on.
  process.on('SIGUSR1', () => undefined);
  const prlimit = findProgramSync('prlimit', path);
  if (prlimit === undefined) throw fail('missing_part', 'prlimit is not there, and without it a core dump could hold secrets', 'apt-get install util-linux');
  // Node has no setrlimit(2).
  await promisify(execFile)(prlimit, [`--pid=${process.pid}`, '--core=0']);
}
