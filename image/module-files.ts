// The kernel's modules as an initramfs has them.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.ts';

/** What is below `lib` of a directory of modules, as entries below `usr/lib`, which `lib` of an image leads to. */
export async function moduleFiles(moduleRoot: string): Promise<CpioEntry[]> {
  const found = await readdir(moduleRoot, { recursive: true, withFileTypes: true });
  const entries = found.map(async (entry): Promise<CpioEntry | undefined> => {
    const source = join(entry.parentPath, entry.name);
    const path = join('usr', source.slice(moduleRoot.length + 1));
    if (entry.isDirectory()) return path === 'usr/lib' ? undefined : { type: 'directory', path, mode: 0o755 };
    return { type: 'file', path, mode: 0o644, data: await readFile(source) };
  });
  const known = (await Promise.all(entries)).filter((entry) => entry !== undefined);
  // A directory's path is a prefix of what it holds, so this puts it first.
  return known.sort((one, other) => (one.path < other.path ? -1 : 1));
}
