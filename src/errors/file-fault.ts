// Why the file system refused, by its errno's name, and what to do then: the next command.

/** Linux's errno(3) where libuv has no name for it: Node then says "Unknown system error". */
const UNNAMED: Readonly<Record<number, string>> = { [-122]: 'EDQUOT' };

/** The errno name of a system call's error, or `unknown`. */
export function errnoOf(error: unknown): string {
  const { code, errno } = (error ?? {}) as NodeJS.ErrnoException;
  return UNNAMED[errno ?? 0] ?? (typeof code === 'string' ? code : 'unknown');
}

/** A path as one word of a shell command. */
export function shellQuote(path: string): string {
  return /^[A-Za-z0-9_./@%+:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/**
 * What makes a directory its owner's alone. One right below the root (`/etc`, `/tmp`) is in use by others, who
 * could not go on: there another place is the remedy. `as`: what the command is run with.
 */
export function privacyRemedy(path: string, as: 'sudo ' | '' = ''): string {
  return /^\/+[^/]*\/*$/.test(path) ? 'name a directory of its own, which nothing else uses' : `${as}chmod 700 ${shellQuote(path)}`;
}

/** The command that shows why `path` can't be written, or mends it; undefined for what says enough by itself. */
export function fileRemedy(errno: string, path: string): string | undefined {
  const quoted = shellQuote(path);
  switch (errno) {
    case 'ENOSPC': return `df -h ${quoted}; df -i ${quoted}`;
    case 'EDQUOT': return `quota -s, or as root: repquota -s ${quoted}`;
    case 'EROFS': return `findmnt --target ${quoted}, then, when its cause is mended: mount -o remount,rw`;
    case 'EIO': return 'dmesg | tail, for what the disk says';
    case 'EACCES':
    case 'EPERM': return `ls -ld ${quoted}; lsattr -d ${quoted}`;
    default: return undefined;
  }
}

/** Whether there is no room, and nothing else is wrong. */
export const isFull = (errno: string): boolean => errno === 'ENOSPC' || errno === 'EDQUOT';
