// Where generated values are: VARS/MACHINE/GENERATOR/FILE, in directories of mode 0700 that belong to the user
// that makes and reads them; a secret file is 0400, a public one 0444. What a generator makes is there whole or
// not at all, whenever the machine stops:
//
//   1. all files are written into VARS/MACHINE/.slicer-PID-RANDOM.tmp/new/GENERATOR and are on the disk, with their modes
//   2. where there are values already, their directory is renamed into …tmp/old
//   3. …tmp/new/GENERATOR is renamed to its place; that fails when another process was faster
//   4. …tmp is removed
//
// Who opens the directory later finds the …tmp of a process that is gone, puts what is in `old` back where its
// place is empty, and removes the rest. Trusts root and that user; links are followed nowhere below VARS.
import { randomBytes } from 'node:crypto';
import {
  chmodSync, closeSync, constants, existsSync, fchmodSync, fstatSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync,
  rmdirSync, unlinkSync, writeFileSync, type Stats,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { varPath, type VarName } from '../config/var-path.ts';
import { errnoOf, fileRemedy, isFull, privacyRemedy } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { Secret, SECRET_MAX_BYTES } from '../secret/secret.ts';
import { isLeftover, temporaryName } from '../temporary/temporary-name.ts';

export interface NewFile {
  readonly name: string;
  readonly secret: boolean;
  readonly value: Secret;
}

/** The generator of a machine, or of `SHARED`. */
export type GeneratorPlace = Omit<VarName, 'file'>;

/** What is at one place in the directory; never the value. */
export interface FoundFile {
  readonly name: string;
  /** Why it is no value: a link, a directory, open to others; undefined for one that is in order. */
  readonly problem: string | undefined;
  /** Whether its mode lets others read it. */
  readonly isPublic: boolean;
}

export interface VarsDirectory {
  readonly path: string;
  /** The files of a generator, in the order of their names; empty where nothing was made yet. Throws store_not_readable. */
  list(place: GeneratorPlace): readonly FoundFile[];
  /** Throws value_not_found, store_not_private, store_not_readable. */
  read(name: VarName): Secret;
  /**
   * Puts a generator's values there, all at once. `replace`: those that are there go, all of them; without it
   * there must be none. Throws value_exists, store_not_writable, store_full.
   */
  write(place: GeneratorPlace, files: readonly NewFile[], replace: boolean): void;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
const SECRET_MODE = 0o400;
const PUBLIC_MODE = 0o444;

/**
 * Checks the directory, and mends what a process that was killed left there. It is made when something is
 * written. Throws store_not_private, store_not_readable, store_not_writable, store_full.
 */
export function openVars(directory: string, uid: number): VarsDirectory {
  const path = resolve(directory);
  if (isPrivateDirectory(path, uid)) {
    for (const name of readdirSync(path)) {
      // What is no directory of ours is looked at when it is used, if ever.
      if (lstatSync(join(path, name)).isDirectory()) mend(join(path, name));
    }
  }
  const placeOf = ({ machine, generator }: GeneratorPlace): string => dirname(varPath(path, { machine, generator, file: '-' }));
  const inspect = (place: GeneratorPlace): boolean => [path, dirname(placeOf(place)), placeOf(place)].every((each) => isPrivateDirectory(each, uid));
  return {
    path,
    list: (place) => {
      if (!inspect(place)) return [];
      return readdirSync(placeOf(place)).sort().map((name) => foundFile(placeOf(place), name, uid));
    },
    read: (name) => {
      if (!inspect(name)) throw notThere(name);
      return readValue(varPath(path, name), name, uid);
    },
    write: (place, files, replace) => {
      for (const each of [path, dirname(placeOf(place))]) makePrivateDirectory(each, uid);
      writeWhole(placeOf(place), files, replace, uid);
    },
  };
}

/** How messages call a value. */
export const varText = ({ machine, generator, file }: VarName): string =>
  (machine.startsWith('.') ? `"${generator}/${file}"` : `"${generator}/${file}" of machine "${machine}"`);

const notThere = (name: VarName): SlicerError => fail('value_not_found', `${varText(name)} is not there`);

/** False where nothing is. Throws store_not_private where something else is. */
function isPrivateDirectory(path: string, uid: number): boolean {
  let stats;
  try {
    stats = lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw fail('store_not_readable', `"${path}" can't be read: ${errnoOf(error)}`);
  }
  if (!stats.isDirectory()) throw fail('store_not_private', `"${path}" is no directory; values that are generated are in directories alone`);
  if (stats.uid !== uid) throw fail('store_not_private', `"${path}" is owned by user ${stats.uid}, expected ${uid}, which slicer runs as`, `chown ${uid} ${path}`);
  if ((stats.mode & 0o077) !== 0) {
    throw fail('store_not_private', `"${path}" is open to others: it has mode 0${(stats.mode & 0o777).toString(8)}, expected 0700`, privacyRemedy(resolve(path)));
  }
  return true;
}

function makePrivateDirectory(path: string, uid: number): void {
  try {
    makeOwn(path);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw notWritten(path, 'made', error);
    isPrivateDirectory(path, uid);
  }
  try {
    // Also where another made it, who may not have come to this.
    withDirectory(dirname(path), fsyncSync);
  } catch (error) {
    throw notWritten(path, 'made', error);
  }
}

function makeOwn(path: string): void {
  mkdirSync(path, { mode: 0o700 });
  // mkdir(2) takes the umask off.
  chmodSync(path, 0o700);
}

function foundFile(directory: string, name: string, uid: number): FoundFile {
  const stats = lstatSync(join(directory, name));
  return { name, problem: fileProblem(stats, uid), isPublic: (stats.mode & 0o044) !== 0 };
}

function fileProblem(stats: Stats, uid: number): string | undefined {
  if (!stats.isFile()) return stats.isSymbolicLink() ? 'is a symbolic link' : 'is no regular file';
  if (stats.uid !== uid) return `is owned by user ${stats.uid}, expected ${uid}`;
  if ((stats.mode & 0o022) !== 0) return `has mode 0${(stats.mode & 0o777).toString(8)}: others may write to it`;
  if (stats.size > SECRET_MAX_BYTES) return `is ${stats.size} bytes, expected at most ${SECRET_MAX_BYTES}`;
  return stats.size === 0 ? 'is empty' : undefined;
}

function readValue(path: string, name: VarName, uid: number): Secret {
  try {
    const descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      const problem = fileProblem(stats, uid);
      if (problem !== undefined) throw fail('store_not_private', `${varText(name)} ${problem}`);
      return new Secret(readFileSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SlicerError) throw error;
    if (errnoOf(error) === 'ENOENT') throw notThere(name);
    if (errnoOf(error) === 'ELOOP') throw fail('store_not_private', `${varText(name)} is a symbolic link`);
    throw fail('store_not_readable', `${varText(name)} can't be read: ${errnoOf(error)}`);
  }
}

function writeWhole(place: string, files: readonly NewFile[], replace: boolean, uid: number): void {
  const parent = dirname(place);
  const temporary = join(parent, temporaryName(randomBytes(8).toString('hex')));
  const [fresh, old] = [join(temporary, 'new', basename(place)), join(temporary, 'old', basename(place))];
  try {
    // Open from before the temporary directory is there until after it is gone: see `isLeftover`.
    withDirectory(parent, (descriptor) => {
      let isInPlace = false;
      try {
        // 1
        for (const each of [temporary, dirname(fresh), dirname(old), fresh]) makeOwn(each);
        for (const { name, secret, value } of files) writeDurably(join(fresh, name), value, secret ? SECRET_MODE : PUBLIC_MODE);
        withDirectory(fresh, fsyncSync);
        // 2
        if (replace && isPrivateDirectory(place, uid)) renameSync(place, old);
        // 3
        renameSync(fresh, place);
        isInPlace = true;
        fsyncSync(descriptor);
      } catch (error) {
        // Where this fails too, the old values stay in the temporary directory, and the next process mends that.
        if (isInPlace) renameSync(place, fresh);
        if (existsSync(old)) renameSync(old, place);
        removeTree(temporary);
        throw error;
      }
      // 4
      try {
        removeTree(temporary);
      } catch {
        // The values are in their place; the next process removes what is left.
      }
    });
  } catch (error) {
    if (error instanceof SlicerError) throw error;
    // rename(2): the directory in its place is not empty.
    if (['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error))) throw fail('value_exists', `"${place}" is there already, made by another process meanwhile`);
    throw notWritten(place, 'written', error);
  }
}

function writeDurably(path: string, value: Secret, mode: number): void {
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, SECRET_MODE);
  try {
    writeFileSync(descriptor, value.reveal());
    // open(2) takes the umask off.
    fchmodSync(descriptor, mode);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function notWritten(path: string, done: 'made' | 'written' | 'mended', error: unknown): SlicerError {
  const errno = errnoOf(error);
  return fail(isFull(errno) ? 'store_full' : 'store_not_writable', `"${path}" can't be ${done}: ${errno}`, fileRemedy(errno, dirname(path)));
}

/** What a process left that is no more. */
function mend(parent: string): void {
  const leftovers = readdirSync(parent).filter((name) => isLeftover(parent, name));
  if (leftovers.length === 0) return;
  try {
    for (const name of leftovers) {
      const old = join(parent, name, 'old');
      for (const generator of existsSync(old) ? readdirSync(old) : []) {
        if (!existsSync(join(parent, generator))) renameSync(join(old, generator), join(parent, generator));
      }
      withDirectory(parent, fsyncSync);
      removeTree(join(parent, name));
    }
  } catch (error) {
    throw notWritten(parent, 'mended', error);
  }
}

/** Not rmSync, whose errors have lost their errno (Node 24). One that is not there is fine. */
function removeTree(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
    else unlinkSync(join(path, entry.name));
  }
  rmdirSync(path);
}

function withDirectory(path: string, use: (descriptor: number) => void): void {
  const descriptor = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
