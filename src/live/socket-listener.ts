// Listens on a Unix socket that nobody but its owner can reach, and never takes one away from a process
// that still answers on it. Until the mode is set the process's umask decides, so the directory must be
// private or the umask must be.
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { fail } from '../errors/slicer-error.ts';

/** sun_path holds 108 bytes, the final NUL among them (unix(7)). */
export const SOCKET_PATH_MAX_BYTES = 107;

/**
 * Listens at `path` with mode 0600; the socket of a dead process is replaced. Throws already_running when
 * somebody answers there, invalid_request when the path is too long or something else is in its place.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_MAX_BYTES) {
    throw fail('invalid_request', `the socket path ${path} has ${length} bytes, the kernel takes ${SOCKET_PATH_MAX_BYTES}`);
  }
  await clearPlace(path);
  await listen(server, path);
}

async function clearPlace(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw fail('invalid_request', `${path} is there and is no socket`, 'remove it, or choose another path');
  }
  if (await answers(path)) throw fail('already_running', `another process serves ${path}`);
  unlinkSync(path);
}

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
      // libuv makes EACCES of a directory that is not there.
      const reason = existsSync(dirname(path)) ? error.code : 'its directory is not there';
      reject(fail('invalid_request', `can't listen on ${path}: ${reason}`));
    };
    server.once('error', onError);
    server.listen(path, () => {
      server.off('error', onError);
      chmodSync(path, 0o600);
      resolve();
    });
  });
}
