// The disks of a VM that are not there yet: made when it first starts, sparse, with an empty file system. A
// disk appears under its name whole or not at all, and one that is there is never written to. What a process
// that was killed has left beside its place goes when a VM with a disk there starts again.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { link, open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { RunVolume } from '../config/run-file.ts';
import { errnoOf, fileRemedy } from '../errors/file-fault.ts';
import { fail, SlicerError, type Problem } from '../errors/slicer-error.ts';
import { isLeftover, temporaryName } from '../temporary/temporary-name.ts';
import { findProgram } from '../vm/programs.ts';

/** Where programs that make file systems are on a machine whose PATH is an ordinary user's. */
const SYSTEM_PATH = '/usr/sbin:/sbin';

/** What keeps these disks from being used or made, all of it. `path` is PATH. */
export async function volumeProblems(volumes: readonly RunVolume[], path: string): Promise<readonly Problem[]> {
  const found = await Promise.all(volumes.map(async (volume): Promise<Problem[]> => {
    const stats = await stat(volume.path).catch((error: NodeJS.ErrnoException) => error.code ?? 'unknown');
    if (typeof stats !== 'string') {
      return stats.isFile() || stats.isBlockDevice() ? [] : [problem(`the disk ${volume.path} is neither a file nor a block device`)];
    }
    if (stats !== 'ENOENT') return [problem(`the disk ${volume.path} can't be read: ${stats}`)];
    if (volume.create === undefined) return [problem(`the disk ${volume.path} does not exist`, 'to have it made: size: MIB, and neither autoCreate: false nor readOnly')];
    const program = `mkfs.${volume.create.fsType}`;
    return await findMkfs(program, path) === undefined ? [problem(`the disk ${volume.path} can't be made: there is no ${program}`, PACKAGES[program])] : [];
  }));
  return found.flat();
}

const PACKAGES: Readonly<Record<string, string>> = {
  'mkfs.ext4': 'apt-get install e2fsprogs', 'mkfs.ext3': 'apt-get install e2fsprogs', 'mkfs.ext2': 'apt-get install e2fsprogs',
  'mkfs.xfs': 'apt-get install xfsprogs', 'mkfs.btrfs': 'apt-get install btrfs-progs', 'mkfs.vfat': 'apt-get install dosfstools',
};

const problem = (message: string, hint?: string): Problem => ({ code: 'missing_part', message, ...(hint === undefined ? {} : { hint }) });

const findMkfs = (program: string, path: string): Promise<string | undefined> => findProgram(program, `${path}:${SYSTEM_PATH}`);

/**
 * Makes the disks that are not there; `say` is told of each. Throws launch_failed with what the program that
 * makes the file system said, `signal`'s reason when it aborts; no disk is then left half-made.
 */
export async function makeVolumes(volumes: readonly RunVolume[], path: string, say: (fact: string) => void, signal: AbortSignal): Promise<void> {
  const places = new Set(volumes.filter(({ create }) => create !== undefined).map((volume) => dirname(volume.path)));
  for (const place of places) await removeLeftovers(place);
  for (const volume of volumes) {
    if (volume.create === undefined || await stat(volume.path).then(() => true, () => false)) continue;
    await make(volume.path, volume.create, path, signal);
    say(`disk ${volume.path} made: ${volume.create.sizeBytes / 1024 ** 2} MiB, ${volume.create.fsType}`);
  }
}

async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    // What can't be removed is in nobody's way.
    if (isLeftover(directory, name)) await unlink(join(directory, name)).catch(() => undefined);
  }
}

async function make(path: string, create: NonNullable<RunVolume['create']>, searchPath: string, signal: AbortSignal): Promise<void> {
  const cannotBeMade = (error: NodeJS.ErrnoException): never => {
    throw fail('launch_failed', `the disk ${path} can't be made: ${errnoOf(error)}`, fileRemedy(errnoOf(error), dirname(path)));
  };
  // Open from before the temporary file is there until after it is gone: see `isLeftover`.
  const directory = await open(dirname(path), 'r').catch(cannotBeMade);
  try {
    await makeBeside(path, create, searchPath, signal, cannotBeMade);
    // A VM keeps what it writes for good in there: a power cut must not take the whole disk away.
    await directory.sync().catch(cannotBeMade);
  } finally {
    await directory.close();
  }
}

async function makeBeside(
  path: string, { sizeBytes, fsType, label }: NonNullable<RunVolume['create']>, searchPath: string, signal: AbortSignal,
  cannotBeMade: (error: NodeJS.ErrnoException) => never,
): Promise<void> {
  const temporary = join(dirname(path), temporaryName(randomBytes(8).toString('hex')));
  const file = await open(temporary, 'wx', 0o600).catch(cannotBeMade);
  try {
    await file.truncate(sizeBytes);
    const program = await findMkfs(`mkfs.${fsType}`, searchPath) ?? `mkfs.${fsType}`;
    await promisify(execFile)(program, [...mkfsArguments(fsType, label), temporary], { signal });
    await file.sync();
    // Not rename(2): if somebody made it meanwhile, theirs stays.
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof SlicerError ? error : fail('launch_failed', `the disk ${path} can't be made: ${reasonOf(error, temporary, path)}`);
  } finally {
    await file.close();
    await unlink(temporary);
  }
}

/** Quiet, and not asking whether a file is really meant. */
function mkfsArguments(fsType: NonNullable<RunVolume['create']>['fsType'], label: string | undefined): string[] {
  const labelFlag = fsType === 'vfat' ? '-n' : '-L';
  const flags = { ext4: ['-q', '-F'], ext3: ['-q', '-F'], ext2: ['-q', '-F'], xfs: ['-q', '-f'], btrfs: ['-q', '-f'], vfat: [] };
  return [...flags[fsType], ...(label === undefined ? [] : [labelFlag, label])];
}

function reasonOf(error: unknown, temporary: string, path: string): string {
  const { stderr, code } = error as { readonly stderr?: string; readonly code?: string | number };
  const said = (stderr ?? '').replaceAll(temporary, path).replace(/[^\x20-\x7e]+/g, ' ').trim();
  return said === '' ? String(code ?? (error as Error).message) : said;
}
