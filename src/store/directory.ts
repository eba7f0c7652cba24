// The store's directory itself: private to the user that runs Slicer, and the same one as at the start.
//
// A directory that is removed, replaced, or opened to others while it is in use is a problem, not a
// removal of all secrets: guests keep what they have, changes are refused, and an operator mends it. The
// same directory put back or closed again is taken up at once; another one at the next start of Slicer,
// where it gets an epoch of its own.
import {
  chmodSync, closeSync, constants, existsSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, realpathSync, statSync, unlinkSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { errnoOf, fileRemedy, isFull, privacyRemedy, shellQuote } from '../errors/file-fault.ts';
import { SlicerError, fail, type Problem } from '../errors/slicer-error.ts';
import { isLeftover } from '../temporary/temporary-name.ts';

export interface StoreDirectory {
  /** Absolute, links resolved. */
  readonly path: string;
  /** Kept open: as long as it is, the kernel gives its inode number to no other directory. */
  readonly handle: FileHandle;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly ownerUid: number;
}

/**
 * Opens the directory, made with mode 0700 if it is absent (its parent must be there).
 * Throws store_not_private, store_not_readable, store_not_writable, store_full.
 */
export async function openDirectory(directory: string, ownerUid: number): Promise<StoreDirectory> {
  const wanted = resolve(directory);
  try {
    makeIfAbsent(wanted);
    const path = realpathSync(wanted);
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const { dev, ino } = await handle.stat({ bigint: true });
      const opened = { path, handle, dev, ino, ownerUid };
      const problem = directoryProblem(opened);
      if (problem !== undefined) throw new SlicerError([problem]);
      return opened;
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof SlicerError) throw error;
    throw unreadableDirectory(wanted, errnoOf(error));
  }
}

/** What is wrong with the directory now; undefined when nothing is. */
export function directoryProblem(directory: Omit<StoreDirectory, 'handle'>): Problem | undefined {
  const { path, ownerUid } = directory;
  const quoted = shellQuote(path);
  let stats;
  try {
    stats = lstatSync(path, { bigint: true });
  } catch (error) {
    const gone = errnoOf(error) === 'ENOENT';
    return {
      code: 'store_not_readable',
      message: gone ? `the store "${path}" was removed while in use` : `the store "${path}" cannot be read: ${errnoOf(error)}`,
      hint: 'put the directory back, or restart slicer to begin with what is there',
    };
  }
  if (stats.dev !== directory.dev || stats.ino !== directory.ino) {
    return {
      code: 'store_not_readable',
      message: `the store "${path}" was replaced by another one while in use`,
      hint: 'put the first one back, or restart slicer to begin with what is there',
    };
  }
  if (stats.uid !== BigInt(ownerUid)) {
    return {
      code: 'store_not_private',
      message: `the store "${path}" is owned by uid ${stats.uid}, expected ${ownerUid}, which slicer runs as`,
      hint: `sudo chown ${ownerUid} ${quoted}`,
    };
  }
  if ((stats.mode & 0o077n) !== 0n) {
    const mode = (stats.mode & 0o777n).toString(8).padStart(4, '0');
    return {
      code: 'store_not_private',
      message: `the store "${path}" is open to others: it has mode ${mode}, expected 0700`,
      hint: privacyRemedy(path, 'sudo '),
    };
  }
  return undefined;
}

/** Removes what an earlier process left of a write that it did not finish. */
export function removeLeftovers(directory: StoreDirectory): void {
  for (const name of readdirSync(directory.path)) {
    if (!isLeftover(directory.path, name)) continue;
    try {
      unlinkSync(join(directory.path, name));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') continue;
      throw fail(isFull(errnoOf(error)) ? 'store_full' : 'store_not_writable',
        `"${join(directory.path, name)}" is left of a write that was cut short and cannot be removed: ${errnoOf(error)}`,
        fileRemedy(errnoOf(error), directory.path));
    }
  }
}

function makeIfAbsent(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
    // mkdir(2) takes the umask off; a umask like 0277 must not leave an unusable directory.
    chmodSync(path, 0o700);
    syncParent(path);
  } catch (error) {
    const errno = errnoOf(error);
    // Behind a dangling link mkdir also says EEXIST: statSync then throws ENOENT, which names it.
    if (errno === 'EEXIST') statSync(path);
    else if (['ENOENT', 'ENOTDIR'].includes(errno)) throw error;
    else throw fail(isFull(errno) ? 'store_full' : 'store_not_writable', `the store "${path}" cannot be made: ${errno}`, fileRemedy(errno, dirname(path)));
  }
}

/** Without it a machine that loses power could lose the directory, and with it all that was acknowledged in it. */
function syncParent(path: string): void {
  const descriptor = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function unreadableDirectory(path: string, errno: string): SlicerError {
  const parent = dirname(path);
  if (errno === 'ENOENT' && existsSync(parent)) {
    return fail('store_not_readable', `the store "${path}" is a symbolic link to nothing`);
  }
  if (errno === 'ENOENT') {
    return fail('store_not_readable', `the store "${path}" cannot be made: "${parent}" does not exist`,
      `sudo mkdir -p ${shellQuote(parent)}`);
  }
  if (errno === 'ENOTDIR') return fail('store_not_readable', `the store "${path}" is not a directory`);
  return fail('store_not_readable', `the store "${path}" cannot be opened: ${errno}`);
}
