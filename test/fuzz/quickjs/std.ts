// QuickJS's `std`, as far as the agent's parsers use it: files that a target puts there.
import { contentAt } from './sys.ts';

const files = new Map<string, Buffer>();

export function put(path: string, content: Buffer): void {
  files.set(path, content);
}

export const loadFile = (path: string): string | null => (files.get(path) ?? contentAt(path))?.toString() ?? null;

export function open(path: string): { read(buffer: ArrayBuffer, offset: number, length: number): number; close(): number } | null {
  const content = files.get(path);
  if (content === undefined) return null;
  return {
    read: (buffer, offset, length) => {
      const part = content.subarray(0, length);
      new Uint8Array(buffer).set(part, offset);
      return part.length;
    },
    close: () => 0,
  };
}

export const err = { puts: (): void => undefined, flush: (): void => undefined };
export const out = err;
export const getenv = (): undefined => undefined;
