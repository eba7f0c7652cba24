// What these tests need of the machine besides Node.
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The part that is missing and how to get it, in one line; false when all are there. */
export function missingPart(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root, to give files to other owners';
  if (!existsSync(join(ROOT, 'build/slicer.cjs'))) return 'build/slicer.cjs is missing: npm run build';
  if (!existsSync(join(ROOT, 'build/slicer-agent-x86_64'))) return 'build/slicer-agent-x86_64 is missing: npm run build';
  if (!isInPath('qemu-system-x86_64')) return 'qemu-system-x86_64 is missing: apt-get install qemu-system-x86';
  return false;
}

/** The same for tests that compile a program for the guest. */
export function missingCompiler(): string | false {
  return missingPart() || (isInPath('gcc') ? false : 'gcc is missing: apt-get install gcc libc6-dev');
}

export function isInPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
