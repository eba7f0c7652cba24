// What these tests need of the machine besides Node.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findCommand } from '../../image/command.ts';
import { findGuestImage, type ImageName } from '../../image/guest-images.ts';
import { findVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

/** The checkout. */
export const ROOT = join(import.meta.dirname, '..', '..');

/** The part that is missing and how to get it, in one line; false when all are there. */
export const MISSING_PART: string | false = await missingPart();

/** The same for tests of the Debian image. */
export const MISSING_DEBIAN: string | false = MISSING_PART || await missingImage('debian');

/** The same for tests that compile a program for the guest. */
export const MISSING_COMPILER: string | false =
  MISSING_PART || (findCommand('gcc') === undefined ? 'gcc is missing: apt-get install gcc libc6-dev' : false);

async function missingPart(): Promise<string | false> {
  if (process.geteuid?.() !== 0) return 'needs root, to give files to other owners';
  if (!existsSync(join(ROOT, 'build/slicer.cjs'))) return 'this checkout is not built: npm run build';
  if (findCommand('qemu-system-x86_64') === undefined) return 'qemu-system-x86_64 is missing: apt-get install qemu-system-x86';
  try {
    findVhostDeviceVsock();
  } catch (error) {
    return whatIsMissing(error);
  }
  return missingImage('tiny');
}

async function missingImage(name: ImageName): Promise<string | false> {
  return findGuestImage(name).then(() => false, whatIsMissing);
}

function whatIsMissing(error: unknown): string {
  if (!(error instanceof SlicerError)) throw error;
  return error.problems.map(({ message, hint }) => (hint === undefined ? message : `${message}: ${hint}`)).join('; ');
}
