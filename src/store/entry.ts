// What one name of the store's directory is. Trusts nobody: whoever may write there may put links, pipes
// and devices there, or change a file while it is read. Nothing here blocks on what it finds, follows a
// link, or returns bytes of a file that changed during the read.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type BigIntStats } from 'node:fs';
import { errnoOf } from '../errors/file-fault.ts';
import type { FileAttributes } from '../secret/file-attributes.ts';
import { SECRET_MAX_BYTES } from '../secret/secret.ts';

/** All of an inode that changes when the file's bytes, mode or owner do. */
export interface Stamp {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export type Observation =
  | { readonly kind: 'absent' }
  /** A regular file with nothing but permission bits; not read yet. */
  | { readonly kind: 'regular'; readonly stamp: Stamp }
  /** Never served as long as it is so. */
  | { readonly kind: 'unservable'; readonly reason: string }
  /** The look failed for a cause that is not the file's (EIO, EMFILE): says nothing about the secret. */
  | { readonly kind: 'unknown'; readonly reason: string };

export type Reading =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Not the file that the stamp describes any more. */
  | { readonly kind: 'changed' }
  | Exclude<Observation, { kind: 'absent' | 'regular' }>;

// O_NONBLOCK: a FIFO that takes the file's place between lstat and open must not hang the daemon.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const SPECIAL_BITS = 0o7000n;
const DATE_MAX_MS = 8.64e15;

export function observe(path: string): Observation {
  try {
    return classify(lstatSync(path, { bigint: true }));
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? { kind: 'absent' } : unreadable(error);
  }
}

/** The bytes of the file that `stamp` describes, all from one state of it. */
export function readUnchanged(path: string, stamp: Stamp): Reading {
  if (stamp.size > BigInt(SECRET_MAX_BYTES)) {
    return { kind: 'unservable', reason: `is ${stamp.size} bytes, expected at most ${SECRET_MAX_BYTES}` };
  }
  let descriptor: number;
  try {
    descriptor = openSync(path, READ_FLAGS);
  } catch (error) {
    // Gone, or a link or socket by now: the next look says which.
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error))) return { kind: 'changed' };
    return unreadable(error);
  }
  try {
    if (!sameStamp(fstatSync(descriptor, { bigint: true }), stamp)) return { kind: 'changed' };
    const bytes = new Uint8Array(Number(stamp.size));
    for (let filled = 0; filled < bytes.byteLength;) {
      const count = readSync(descriptor, bytes, filled, bytes.byteLength - filled, null);
      if (count === 0) return { kind: 'changed' };
      filled += count;
    }
    return sameStamp(fstatSync(descriptor, { bigint: true }), stamp) ? { kind: 'bytes', bytes } : { kind: 'changed' };
  } catch (error) {
    return unreadable(error);
  } finally {
    closeSync(descriptor);
  }
}

export function stampOf(stats: BigIntStats): Stamp {
  const { dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs } = stats;
  return { dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs };
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return sameContent(a, b) && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.ctimeNs === b.ctimeNs;
}

/** Whether nobody wrote between the two, as far as inode, size and mtime tell. */
export function sameContent(a: Stamp, b: Stamp): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

export function attributesOf(stamp: Stamp): FileAttributes {
  return { mode: Number(stamp.mode & 0o777n), uid: Number(stamp.uid), gid: Number(stamp.gid) };
}

/** File systems have room for times that no Date can be (ECMA-262, 21.4.1.1): then the nearest one. */
export function modifiedAtMsOf(stamp: Stamp): number {
  return Math.max(-DATE_MAX_MS, Math.min(DATE_MAX_MS, Number(stamp.mtimeNs / 1_000_000n)));
}

function classify(stats: BigIntStats): Observation {
  if (stats.isSymbolicLink()) return { kind: 'unservable', reason: 'is a symbolic link' };
  if (stats.isDirectory()) return { kind: 'unservable', reason: 'is a directory' };
  if (stats.isSocket()) return { kind: 'unservable', reason: 'is a socket' };
  if (stats.isFIFO()) return { kind: 'unservable', reason: 'is a FIFO' };
  if (!stats.isFile()) return { kind: 'unservable', reason: 'is a device' };
  if ((stats.mode & SPECIAL_BITS) !== 0n) {
    const mode = (stats.mode & 0o7777n).toString(8).padStart(4, '0');
    return { kind: 'unservable', reason: `has mode ${mode}, expected no setuid, setgid or sticky bit` };
  }
  return { kind: 'regular', stamp: stampOf(stats) };
}

function unreadable(error: unknown): Exclude<Observation, { kind: 'absent' | 'regular' }> {
  const errno = errnoOf(error);
  const kind = errno === 'EACCES' || errno === 'EPERM' ? 'unservable' : 'unknown';
  return { kind, reason: `cannot be read: ${errno}` };
}
