// Directories that are closed to all but their owner.
import { chmod, lstat, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fail } from '../errors/slicer-error.ts';

const PASSABLE = 0o711;
const PASSED_BY_OTHERS = 0o001;

/** Whether every user can go to what is in the directory; false for one that is not there. */
export async function isPassable(directory: string): Promise<boolean> {
  for (let each = directory; ; each = dirname(each)) {
    const passes = await stat(each).then(({ mode }) => (mode & PASSED_BY_OTHERS) !== 0, () => false);
    if (!passes || each === '/') return passes;
  }
}

/**
 * Makes the directory, or checks the one that is there: where others may write, somebody else may have been
 * here first. `passable`: others can go through it to what they know the name of, and not list it. Throws
 * store_not_private.
 */
export async function makePrivate(directory: string, uid: number, passable = false): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const stats = await lstat(directory);
  if (!stats.isDirectory() || stats.uid !== uid || (stats.mode & (passable ? 0o066 : 0o077)) !== 0) {
    throw fail('store_not_private',
      `${directory} is not a directory of user ${uid} that is closed to all others`,
      `ls -ld ${directory}; chmod 700 ${directory}, or remove it if it is not yours`);
  }
  if (passable && (stats.mode & 0o777) !== PASSABLE) await chmod(directory, PASSABLE);
}
