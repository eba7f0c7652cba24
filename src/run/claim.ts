// The directory of one VM in the foreground, on a memory-backed file system: `<...>/slicer-<uid>/<hash>/<name>`.
// Whoever holds it is the only one to run a VM of this name for this user. The kernel keeps the lock (flock(2))
// with a descriptor of this process, and gives it up with it, however that ends; so what is found in a
// directory that can be locked was left by one who was killed, and goes.
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import { errnoOf, isFull } from '../errors/file-fault.ts';
import { fail } from '../errors/slicer-error.ts';
import { endProcesses, findMarked } from '../vm/process-table.ts';
import { checkSocketPaths, chooseRuntimeDirectory, makeAbove, memoryDirectories, removeIfEmpty, runtimeFault } from '../vm/runtime-directory.ts';

/** Distinguishes the VMs of `slicer run` from those of any daemon's directory, which is an absolute path. */
const OWNER = 'slicer run';
const CONFLICT_EXIT_CODE = 75;
/** One who ends removes the directory that another has just made. */
const ATTEMPTS = 50;

export interface Claim {
  /** Empty, and closed to all others. */
  readonly directory: string;
  /** Removes the directory with all in it, and lets go. */
  release(): Promise<void>;
}

/**
 * Where the directory of a VM of this name is. `isForOthers`: whether it runs as a user of its own. Throws no_memory_file_system, invalid_request for a name that
 * is too long for a socket there.
 */
export async function directoryOf(name: string, uid: number, env: Readonly<Record<string, string | undefined>>, isForOthers = false): Promise<string> {
  const directory = join(await chooseRuntimeDirectory(OWNER, uid, candidates(env), isForOthers), name);
  checkSocketPaths(name, directory);
  return directory;
}

/** `flock`: absolute path of util-linux's flock. Throws already_running when a VM of this name runs, store_not_private, launch_failed. */
export async function claimDirectory(directory: string, uid: number, flock: string): Promise<Claim> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const taken = await take(directory, uid, flock).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw isFull(errnoOf(error)) ? runtimeFault(directory, error) : error;
    });
    if (taken === undefined) continue;
    return {
      directory,
      release: async () => {
        await rm(directory, { recursive: true, force: true });
        await taken.close();
        await removeIfEmpty(dirname(directory));
      },
    };
  }
  throw fail('already_running', `vm "${basename(directory)}" is being started and ended by others all the time`);
}

/** `$RUNTIME_DIRECTORY` is the unit's own (systemd.exec(5)), which goes with the unit whatever becomes of this process. */
function candidates(env: Readonly<Record<string, string | undefined>>): string[] {
  const ofUnit = (env['RUNTIME_DIRECTORY'] ?? '').split(':')[0];
  return [...(ofUnit === undefined || ofUnit === '' ? [] : [ofUnit]), ...memoryDirectories(env)];
}

/** Undefined when the directory is another one by now. */
async function take(directory: string, uid: number, flock: string): Promise<FileHandle | undefined> {
  await makeAbove(directory, uid);
  const isNew = await mkdir(directory, { mode: 0o700 }).then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return false;
    throw error;
  });
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (!await lock(handle, flock)) {
      throw fail('already_running', `vm "${basename(directory)}" runs already`, `see who serves it: fuser -v ${directory}`);
    }
    const [mine, there] = await Promise.all([handle.stat(), stat(directory)]);
    if (mine.ino !== there.ino || mine.dev !== there.dev) {
      await handle.close();
      return undefined;
    }
    if (!isNew) await clear(directory);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The lock is on the descriptor that both have, so it stays when flock(1) has ended. */
function lock(handle: FileHandle, flock: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(flock, ['--nonblock', '--conflict-exit-code', String(CONFLICT_EXIT_CODE), '3'], { stdio: ['ignore', 'ignore', 'ignore', handle.fd] });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0 || code === CONFLICT_EXIT_CODE) resolve(code === 0);
      else reject(fail('internal', `${flock} ended with exit code ${code}`));
    });
  });
}

async function clear(directory: string): Promise<void> {
  await endProcesses(await findMarked(directory), 0);
  for (const entry of await readdir(directory)) await rm(join(directory, entry), { recursive: true, force: true });
}
