// Directories that are closed to all but their owner.
import { lstat, mkdir } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';

/**
 * Makes the directory, or checks the one that is there: where others may write, somebody else may have been
 * here first. Throws store_not_private.
 */
export async function makePrivate(directory: string, uid: number): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const stats = await lstat(directory);
  if (!stats.isDirectory() || stats.uid !== uid || (stats.mode & 0o077) !== 0) {
    throw fail('store_not_private',
      `${directory} is not a directory of user ${uid} that is closed to all others`,
      `ls -ld ${directory}; chmod 700 ${directory}, or remove it if it is not yours`);
  }
}
