// Whether a socket that nobody named may be spoken to. `./slicer.sock` is whatever lies in the working
// directory: in one where others may write, anybody could have put it there, and would be told secrets.
import { lstatSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;

/** Users that may own such a socket: root, who runs this, and who runs it through sudo(8). Reads SUDO_UID. */
export function trustedOwners(env: NodeJS.ProcessEnv): readonly number[] {
  const caller = env['SUDO_UID'] ?? '';
  const own = (process.geteuid as () => number)();
  return [0, own, ...(own === 0 && /^[0-9]{1,10}$/.test(caller) ? [Number(caller)] : [])];
}

/**
 * Whether one of `owners` made the socket, the directory it is in, and the link that it may be, and not
 * everybody can replace it. Throws the system call's error.
 */
export function isOwnedBy(owners: readonly number[], path: string): boolean {
  const directory = statSync(dirname(path));
  const isOurs = ({ uid }: Stats): boolean => owners.includes(uid);
  const isOpen = (directory.mode & WRITABLE_BY_ALL) !== 0 && (directory.mode & STICKY) === 0;
  return [lstatSync(path), statSync(path), directory].every(isOurs) && !isOpen;
}
