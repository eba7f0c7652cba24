// What a guest is given besides secrets, in the VM's runtime directory: on tmpfs, for the owner alone,
// and gone with the VM. A later daemon needs it to speak to the guest.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../errors/slicer-error.ts';
import { Secret } from '../secret/secret.ts';
import type { GuestMaterial } from './contract.ts';

/** In hexadecimal 64, as plans have it. */
const TOKEN_BYTES = 32;

/** The boot token as the guest gets it: 64 hexadecimal digits in ASCII. */
export function newBootToken(randomBytes: (count: number) => Uint8Array): Secret {
  return new Secret(Buffer.from(Buffer.from(randomBytes(TOKEN_BYTES)).toString('hex')));
}

export async function writeMaterial(
  runtimeDirectory: string,
  { bootToken, userdata }: GuestMaterial,
): Promise<void> {
  if (bootToken !== undefined) await writeFile(bootTokenFile(runtimeDirectory), bootToken.reveal(), { mode: 0o600, flag: 'wx' });
  if (userdata !== undefined) await writeFile(userdataFile(runtimeDirectory), userdata, { mode: 0o600, flag: 'wx' });
}

/** Throws when something is not there that should be, or not whole: a VM that has a boot token is never served without. */
export async function readMaterial(
  runtimeDirectory: string,
  expected: { readonly bootToken: boolean; readonly userdata: boolean },
): Promise<GuestMaterial> {
  return {
    ...(expected.bootToken ? { bootToken: bootTokenIn(await readFile(bootTokenFile(runtimeDirectory))) } : {}),
    ...(expected.userdata ? { userdata: await readFile(userdataFile(runtimeDirectory)) } : {}),
  };
}

/** Throws `internal` for what is no boot token: an empty one is what every guest knows. */
export function bootTokenIn(bytes: Uint8Array): Secret {
  if (!/^[0-9a-f]{64}$/.test(Buffer.from(bytes).toString('latin1'))) throw fail('internal', 'the boot token of a vm is damaged', 'delete the vm, and launch it again');
  return new Secret(bytes);
}

export async function removeUserdata(runtimeDirectory: string): Promise<void> {
  await rm(userdataFile(runtimeDirectory), { force: true });
}

function bootTokenFile(runtimeDirectory: string): string {
  return join(runtimeDirectory, 'boot-token');
}

function userdataFile(runtimeDirectory: string): string {
  return join(runtimeDirectory, 'userdata');
}
