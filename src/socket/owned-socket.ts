// Connects to a socket of a VM's processes, which run as a user of their own. One that was broken into can put
// a link in its socket's place that leads to another VM's, or to a service of the host: what is connected to
// is what was looked at, and it must be that user's.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';

/** O_PATH of open(2), the same on x86-64 and arm64: the file itself, whatever it is, without opening it. Node has no name for it. */
export const O_PATH = 0o10000000;

/**
 * Calls `use` with a path that leads to the socket at `path`; it is good until `use` returns. `owner`: the user
 * whose it must be, undefined where the socket is in a directory of this process alone, or anybody's. Throws
 * what open(2) says, and EPERM for anything else than a socket of that user.
 */
export function atOwnedSocket<T>(path: string, owner: number | undefined, use: (path: string) => T): T {
  if (owner === undefined) return use(path);
  const descriptor = openOwnedSocket(path, owner);
  try {
    return use(`/proc/self/fd/${descriptor}`);
  } finally {
    closeSync(descriptor);
  }
}

/** The same as a descriptor, which the caller closes: `/proc/self/fd/N` leads to the socket. */
export function openOwnedSocket(path: string, owner: number): number {
  const descriptor = openSync(path, O_PATH | constants.O_NOFOLLOW);
  const stats = fstatSync(descriptor);
  if (stats.isSocket() && stats.uid === owner) return descriptor;
  closeSync(descriptor);
  throw Object.assign(new Error(`EPERM: ${path} is no socket of user ${owner}`), { code: 'EPERM' });
}
