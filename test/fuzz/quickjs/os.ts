// QuickJS's `os`, as far as the agent's parsers use it: handlers that a target calls itself.
import { isReadable, move, namesAt } from './sys.ts';

const readers = new Map<number, () => void>();
const writers = new Map<number, () => void>();
/** Processes that were signalled. */
export const killed: number[] = [];

export function setReadHandler(fd: number, handler: (() => void) | null): void {
  if (handler === null) readers.delete(fd);
  else readers.set(fd, handler);
}

export function setWriteHandler(fd: number, handler: (() => void) | null): void {
  if (handler === null) writers.delete(fd);
  else writers.set(fd, handler);
}

/** Who waits for `fd`: it can be written to, or it can be read. */
const waiting = (): (() => void) | undefined => [...writers.values()][0] ?? [...readers].find(([fd]) => fd > 0 && isReadable(fd))?.[1];

/** Lets all that can be read be read, and no time pass. */
export function readAll(): void {
  for (let turn = 0; turn < 100_000; turn += 1) {
    const handler = waiting();
    if (handler === undefined) return;
    handler();
  }
  throw new Error('it reads without end');
}

/** The same, with who awaits something between one read and the next. */
export async function readOn(): Promise<void> {
  for (let handler = waiting(); handler !== undefined; handler = waiting()) {
    handler();
    await Promise.resolve();
  }
  await new Promise((resolve) => setImmediate(resolve));
}

/** The handler of a listener, whose number is below 0. */
export const knock = (fd: number): void => readers.get(fd)?.();

export const setTimeout = (): object => ({});
export const clearTimeout = (): void => undefined;
export const readdir = (path: string): [string[], number] => [namesAt(path), 0];
export const stat = (): [null, number] => [null, 2];

export function rename(from: string, to: string): number {
  move(from, to);
  return 0;
}

export const now = (): number => 0;

export function kill(pid: number): number {
  killed.push(pid);
  return 0;
}

export const signal = (): void => undefined;
export const waitpid = (): [number, number] => [0, 0];
export const SIGCHLD = 17;
export const WNOHANG = 1;
