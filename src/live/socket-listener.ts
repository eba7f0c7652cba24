// Listens on a Unix socket that nobody but its owner, and a group if one is named, can reach, and never takes one
// away from a process that still answers on it, also when several find the socket of a dead one at once. Until the
// mode is set the process's umask decides, so the directory must be private or the umask must be.
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, renameSync, unlinkSync, type BigIntStats } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { shellQuote } from '../errors/file-fault.ts';
import { fail, type SlicerError } from '../errors/slicer-error.ts';

/** sun_path holds 108 bytes, the final NUL among them (unix(7)). */
export const SOCKET_PATH_MAX_BYTES = 107;

/**
 * Listens at `path` with mode 0600, or 0660 for the group; the socket of a dead process is replaced. Throws already_running when
 * somebody answers there, invalid_request when the path is too long or something else is in its place.
 */
export async function listenPrivately(server: Server, path: string, gid?: number): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_MAX_BYTES) {
    throw fail('invalid_request', `the socket path ${path} has ${length} bytes, the kernel takes ${SOCKET_PATH_MAX_BYTES}`);
  }
  await clearDeadSocket(path);
  await listen(server, path);
  if (gid === undefined) return;
  chownSync(path, (process.geteuid as () => number)(), gid);
  chmodSync(path, 0o660);
}

/**
 * Removes a socket that nobody serves any more. Throws already_running when somebody answers there, invalid_request
 * when something else is in its place.
 */
export async function clearDeadSocket(path: string): Promise<void> {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw fail('invalid_request', `${path} is there and is no socket`, 'remove it, or choose another path');
  }
  if (await answers(path)) throw alreadyServed(path);
  removeSame(path, stats);
}

/** By now the path may be the socket of another who found the dead one, too: that one is put back. */
function removeSame(path: string, dead: BigIntStats): void {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const taken = lstatSync(aside, { bigint: true });
  // An inode's number is given again at once; when it was made is not changed by rename(2).
  const isDead = taken.ino === dead.ino && taken.mtimeNs === dead.mtimeNs;
  try {
    if (!isDead) linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(aside);
  }
  if (!isDead) throw alreadyServed(path);
}

const alreadyServed = (path: string): SlicerError => fail('already_running', `another process serves ${path}`);

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      // A listener whose queue is full is alive.
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(fail('invalid_request', `can't use the socket ${path}: ${error.code}`));
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      // Another was faster.
      if (error.code === 'EADDRINUSE') return reject(alreadyServed(path));
      // libuv makes EACCES of a directory that is not there.
      reject(existsSync(dirname(path)) ? fail('invalid_request', `can't listen on ${path}: ${error.code}`)
        : fail('invalid_request', `can't listen on ${path}: its directory is not there`, `mkdir -p ${shellQuote(dirname(path))}`));
    };
    server.once('error', onError);
    server.listen(path, () => {
      server.off('error', onError);
      chmodSync(path, 0o600);
      resolve();
    });
  });
}
