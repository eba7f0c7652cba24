// Reads one secret from a file that somebody else made. Trusts root and the user that this process runs as;
// everybody else may have put links, pipes or files of their own anywhere on the way. The path is walked
// descriptor by descriptor, so that what was checked is what is read:
//
//   1. each directory on the way is opened without following a link; a link is followed by hand, and only
//      when it is root's
//   2. the last component is opened without following a link and without waiting for a pipe's other end
//   3. kind, owner, mode and size are asked of that descriptor, and the bytes are read from it
//
// Errors name the path and the fact, and never a byte of the content.
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { Secret, SECRET_MAX_BYTES } from '../secret/secret.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
/** Linux, open(2): a descriptor for a place, also of a link. The same on all architectures; Node has no name for it. */
const O_PATH = 0o10000000;
/** The kernel's own limit (path_resolution(7)). */
const LINKS_MAX = 40;
const ROOT_UID = 0;

/**
 * `label` is how errors call the secret. `isPublic`: others may read it, and may not write it. Throws secret_not_found,
 * secret_not_private, value_too_large, secret_not_readable.
 */
export function readSecretFile(label: string, path: string, callerUid: number, isPublic = false): Secret {
  const refuse = refusal(label, path);
  return withDescriptor(() => openChecked(path, refuse), refuse, (descriptor) => {
    const stats = fstatSync(descriptor);
    checkKind(stats, refuse);
    if (stats.uid !== ROOT_UID && stats.uid !== callerUid) {
      throw refuse('secret_not_private', `is owned by user ${stats.uid}`, `expected root or user ${callerUid}: chown ${callerUid} ${path}`);
    }
    if ((stats.mode & (isPublic ? 0o022 : 0o027)) !== 0) {
      throw refuse('secret_not_private', `has mode 0${(stats.mode & 0o7777).toString(8)}`, isPublic ? `only its owner may write it: chmod 0444 ${path}` : `others may do nothing with it, nor the group write: chmod 0400 ${path}`);
    }
    return readAll(descriptor, refuse);
  });
}

/**
 * The same for a file of `$CREDENTIALS_DIRECTORY`, whose owner and modes are the service manager's business;
 * undefined where there is none.
 */
export function readCredentialFile(label: string, path: string): Secret | undefined {
  const refuse = refusal(label, path);
  let descriptor: number;
  try {
    descriptor = openSync(path, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw refuse('secret_not_readable', `can't be read: ${errnoOf(error)}`);
  }
  return withDescriptor(() => descriptor, refuse, () => {
    checkKind(fstatSync(descriptor), refuse);
    return readAll(descriptor, refuse);
  });
}

type Code = 'secret_not_found' | 'secret_not_private' | 'secret_not_readable' | 'value_too_large';
type Refuse = (code: Code, fact: string, hint?: string) => SlicerError;

const refusal = (label: string, path: string): Refuse => (code, fact, hint = nextCommand(code, path)) => fail(code, `${label}: ${path} ${fact}`, hint);

/** Where the fact alone does not say what to do. */
function nextCommand(code: Code, path: string): string {
  switch (code) {
    case 'secret_not_found': return `install -m 0400 /dev/stdin ${path}`;
    case 'value_too_large': return 'give the guest a disk with it: volumes';
    default: return `ls -ld ${path}`;
  }
}

const errnoOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';

function withDescriptor<T>(open: () => number, refuse: Refuse, use: (descriptor: number) => T): T {
  const descriptor = open();
  try {
    return use(descriptor);
  } catch (error) {
    // A system call's own message is no better than its number; one of ours passes.
    throw error instanceof Error && error.name === 'SlicerError' ? error : refuse('secret_not_readable', `can't be read: ${errnoOf(error)}`);
  } finally {
    closeSync(descriptor);
  }
}

function openChecked(path: string, refuse: Refuse): number {
  const directory = openDirectory(dirname(path), refuse);
  try {
    return openSync(below(directory, path.slice(path.lastIndexOf('/') + 1)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    switch (errnoOf(error)) {
      case 'ENOENT': throw refuse('secret_not_found', 'does not exist');
      case 'ELOOP': throw refuse('secret_not_private', 'is a symbolic link', 'name the file that it leads to');
      // open(2): a socket, or a device that is not there.
      case 'ENXIO': throw refuse('secret_not_readable', 'is no regular file');
      default: throw refuse('secret_not_readable', `can't be read: ${errnoOf(error)}`);
    }
  } finally {
    closeSync(directory);
  }
}

/** A descriptor of the directory at an absolute path. Links on the way must be root's. */
function openDirectory(path: string, refuse: Refuse): number {
  let place = openSync('/', O_PATH | O_DIRECTORY);
  let links = 0;
  const rest = path.split('/').filter((name) => name !== '');
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const next = openSync(below(place, name), O_PATH | O_NOFOLLOW);
      const stats = fstatSync(next);
      if (!stats.isSymbolicLink()) {
        closeSync(place);
        place = next;
        continue;
      }
      const target = linkTarget(place, name, next, stats);
      if (stats.uid !== ROOT_UID) throw refuse('secret_not_private', `is behind the link "${name}", which is owned by user ${stats.uid}`, 'a link on the way to a secret must be root\'s');
      links += 1;
      if (target === undefined || links > LINKS_MAX) throw refuse('secret_not_readable', `is behind links that can't be followed, at "${name}"`);
      rest.unshift(...target.split('/').filter((part) => part !== ''));
      if (isAbsolute(target)) {
        closeSync(place);
        place = openSync('/', O_PATH | O_DIRECTORY);
      }
    }
    return place;
  } catch (error) {
    closeSync(place);
    if (error instanceof Error && error.name === 'SlicerError') throw error;
    if (errnoOf(error) === 'ENOENT') throw refuse('secret_not_found', 'does not exist');
    throw refuse('secret_not_readable', `can't be reached: ${errnoOf(error)}`);
  }
}

/** Closes `link`. Undefined when the link is another one by now: Node has no readlinkat(2) for a descriptor. */
function linkTarget(place: number, name: string, link: number, stats: Stats): string | undefined {
  try {
    const target = readlinkSync(below(place, name));
    const again = openSync(below(place, name), O_PATH | O_NOFOLLOW);
    const { dev, ino } = fstatSync(again);
    closeSync(again);
    return dev === stats.dev && ino === stats.ino ? target : undefined;
  } finally {
    closeSync(link);
  }
}

/** What openat(2) would open: proc(5), /proc/self/fd. */
const below = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`;

function checkKind(stats: Stats, refuse: Refuse): void {
  if (!stats.isFile()) throw refuse('secret_not_readable', `is ${kindOf(stats)}, expected a regular file`);
  if (stats.size > SECRET_MAX_BYTES) throw refuse('value_too_large', `is ${stats.size} bytes; a secret has at most ${SECRET_MAX_BYTES}`);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

function readAll(descriptor: number, refuse: Refuse): Secret {
  // One byte more than it may have: a file that grows is not read for ever.
  const { size } = fstatSync(descriptor);
  const bytes = Buffer.alloc(Math.min(size, SECRET_MAX_BYTES) + 1);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes.length; length += count) {
    count = readSync(descriptor, bytes, length, bytes.length - length, null);
  }
  if (length !== size || fstatSync(descriptor).size !== size) {
    bytes.fill(0);
    throw refuse('secret_not_readable', 'was written to while it was read', 'replace such a file with rename(2)');
  }
  return new Secret(bytes.subarray(0, length));
}
