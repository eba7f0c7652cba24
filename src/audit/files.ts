// The files of a log: `audit.log`, the newest, and `audit.log.1` and so on, each older than the one before.
import { readdirSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';

export interface FoundFile {
  readonly path: string;
  readonly ino: number;
  readonly mtimeMs: number;
}

/** Those that are there, oldest first. Throws the system call's error when their directory can't be read. */
export function findFiles(path: string): FoundFile[] {
  const prefix = `${basename(path)}.`;
  const numbers = readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^[1-9][0-9]{0,5}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
  return [...numbers.sort((a, b) => b - a).map((number) => `${path}.${number}`), path].flatMap((file) => {
    // Between the listing and now it may have been rotated: then it is looked at under its next name.
    const stats = statSync(file, { throwIfNoEntry: false });
    return stats === undefined ? [] : [{ path: file, ino: stats.ino, mtimeMs: stats.mtimeMs }];
  });
}

/**
 * Makes `path` free; at most `keep` older files stay. No more files move than must: where the newest can't be
 * moved (chattr +a), as often as it is tried, no second one of the older is lost. Throws the system call's error.
 */
export function shiftFiles(path: string, keep: number): void {
  if (keep === 0) return unlinkSync(path);
  const numbered = (number: number): string => (number === 0 ? path : `${path}.${number}`);
  for (const { path: file } of findFiles(path)) {
    if (file !== path && Number(file.slice(path.length + 1)) > keep) rmSync(file);
  }
  const isThere = (number: number): boolean => statSync(numbered(number), { throwIfNoEntry: false }) !== undefined;
  let free = 1;
  while (free < keep && isThere(free)) free += 1;
  for (let number = free; number > 0; number -= 1) renameSync(numbered(number - 1), numbered(number));
}
