// QuickJS's `os`, as far as the agent's parsers use it: handlers that a target calls itself.
const readers = new Map<number, () => void>();

export function setReadHandler(fd: number, handler: (() => void) | null): void {
  if (handler === null) readers.delete(fd);
  else readers.set(fd, handler);
}

/** Lets all that can be read be read. */
export function readAll(): void {
  for (let turn = 0; turn < 100_000; turn += 1) {
    const [handler] = [...readers.entries()].filter(([fd]) => fd > 0).map(([, found]) => found);
    if (handler === undefined) return;
    handler();
  }
  throw new Error('it reads without end');
}

/** The handler of a listener, whose number is below 0. */
export const knock = (fd: number): void => readers.get(fd)?.();

export const setWriteHandler = (): void => undefined;
export const setTimeout = (): object => ({});
export const clearTimeout = (): void => undefined;
export const readdir = (): [string[], number] => [[], 0];
export const rename = (): number => 0;
export const stat = (): [null, number] => [null, 2];
export const kill = (): number => 0;
export const signal = (): void => undefined;
export const waitpid = (): [number, number] => [0, 0];
export const SIGCHLD = 17;
export const WNOHANG = 1;
