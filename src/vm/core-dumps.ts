// A core dump of a process that holds secrets would put them on a disk.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fail } from '../errors/slicer-error.ts';
import { findProgram } from './programs.ts';

/** From now on this process leaves no core dump, whatever its limits were. `path` as PATH. Throws missing_part. */
export async function switchOffCoreDumps(path: string): Promise<void> {
  const prlimit = await findProgram('prlimit', path);
  if (prlimit === undefined) throw fail('missing_part', 'prlimit is not there, and without it a core dump could hold secrets', 'apt-get install util-linux');
  // Node has no setrlimit(2).
  await promisify(execFile)(prlimit, [`--pid=${process.pid}`, '--core=0']);
}
