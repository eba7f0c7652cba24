// Whether what a guest boots is there to be read, asked before anything is made for it.
import { access, constants } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';
import type { LaunchRequest } from './contract.ts';

/** Throws missing_part. */
export async function checkGuestFiles({ kernel, initrd, volumes }: Pick<LaunchRequest, 'kernel' | 'initrd' | 'volumes'>): Promise<void> {
  await checkReadable(kernel, 'kernel');
  if (initrd !== undefined) await checkReadable(initrd, 'initramfs');
  for (const { path } of volumes) await checkReadable(path, 'disk');
}

async function checkReadable(path: string, what: string): Promise<void> {
  await access(path, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    throw fail('missing_part', `the ${what} ${path} can't be read: ${error.code}`);
  });
}
