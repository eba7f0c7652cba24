// Names of what is written beside its place and then renamed into it, and which of them a process that is no
// more has left. Guarantees: what a process is at work on is never taken for left, and what is left is known as
// such also when the id of its process has come round again, as ids do after every boot.
//
// The rule that this rests on: who makes something of such a name has the directory open in which it is, from
// before it is there until after it is gone.
import { readdirSync, statSync } from 'node:fs';

/** A leading dot: outside the rule for names, so no reader of the directory takes it for a value. */
const PATTERN = /^\.slicer-([1-9][0-9]{0,9})-[0-9a-f]{16}\.tmp$/;

/** `unique`: 16 hexadecimal digits. */
export const temporaryName = (unique: string): string => `.slicer-${process.pid}-${unique}.tmp`;

export const isTemporaryName = (name: string): boolean => PATTERN.test(name);

/**
 * Whether `name` in `directory` was left by a process that is no more. Call it before this process makes any there:
 * those with its own id are another's, of before.
 */
export function isLeftover(directory: string, name: string): boolean {
  const pid = PATTERN.exec(name)?.[1];
  return pid !== undefined && (Number(pid) === process.pid || !hasOpen(pid, directory));
}

function hasOpen(pid: string, directory: string): boolean {
  const wanted = statSync(directory, { bigint: true });
  const descriptors = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = readdirSync(descriptors);
  } catch (error) {
    // Of a process that may not be looked into nothing is known: let it be at work.
    return !['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
  return names.some((name) => {
    try {
      const { dev, ino } = statSync(`${descriptors}/${name}`, { bigint: true });
      return dev === wanted.dev && ino === wanted.ino;
    } catch {
      // Closed by now.
      return false;
    }
  });
}
