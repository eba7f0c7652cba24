// What this process was started with besides stdin, stdout and stderr (a lock, a socket, a pipe of whoever
// called it) is no business of a VM's processes: they outlive this one, and would hold it for their whole life.
import { readdirSync, readFileSync } from 'node:fs';

/** O_CLOEXEC of open(2), as proc_pid_fdinfo(5) shows it. Node opens all with it, and sets it on what it got up to the first gap. */
const CLOSE_ON_EXEC = 0o2000000;
const FIRST_OTHER = 3;

/** Descriptors from 3 on that a program started by this process would get. */
export function inheritedDescriptors(): number[] {
  return readdirSync('/proc/self/fdinfo').map(Number).filter((descriptor) => descriptor >= FIRST_OTHER && !closesOnExec(descriptor));
}

/** The directory that is being listed is among the descriptors, and gone when it is looked at. */
function closesOnExec(descriptor: number): boolean {
  try {
    return isClosedOnExec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1'));
  } catch {
    return true;
  }
}

/** Of proc_pid_fdinfo(5); false where it does not say so. */
export function isClosedOnExec(fdinfo: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(fdinfo)?.[1] ?? '';
  return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) !== 0;
}
