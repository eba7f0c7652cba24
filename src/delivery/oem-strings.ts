// Credentials for the boot channel in the form that systemd and the agent read from SMBIOS type 11:
// `io.systemd.credential.binary:NAME=BASE64` (systemd.system-credentials(7)). Always the binary form,
// so that bytes arrive exactly. Pure: what does not fit is refused, with every problem at once.
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { SECRET_MAX_BYTES, Secret } from '../secret/secret.ts';

/** The credential that carries a VM's boot token. */
export const BOOT_TOKEN_CREDENTIAL = 'slicer.boot-token';

export interface SystemCredential {
  readonly name: string;
  readonly value: Secret;
}

const PREFIX = 'io.systemd.credential.binary:';

/** systemd: a credential's name is a file name, and `:` separates it in settings (credential_name_valid()). */
const NAME = /^[^/:\0]{1,255}$/;
const NAME_MAX_BYTES = 255;

/** SMBIOS 3.7, 7.12: the count of strings is one byte; QEMU lets it wrap in silence. */
const STRINGS_MAX = 255;

/**
 * QEMU with the 32-bit entry point: its tables end at 65,535 bytes, and what it writes about processors
 * and memory comes out of that. One string of 65,200 bytes was tried and fits, one of 65,300 does not.
 */
const TABLE_MAX_BYTES = 65_200;

/**
 * The OEM strings for `credentials`, in their order. They hold the values, so each is a `Secret`.
 * Throws invalid_name and value_too_large.
 */
export function encodeOemStrings(vmName: string, credentials: readonly SystemCredential[]): readonly Secret[] {
  const problems: Problem[] = credentials.flatMap(problemsOf);
  if (credentials.length > STRINGS_MAX) {
    problems.push({
      code: 'value_too_large',
      message: `vm "${vmName}" has ${credentials.length} credentials for its boot channel; a table holds ${STRINGS_MAX}`,
    });
  }
  // Each string is followed by a NUL in the table.
  const tableBytes = credentials.reduce((sum, credential) => sum + stringBytes(credential) + 1, -1);
  if (tableBytes > TABLE_MAX_BYTES) {
    problems.push({
      code: 'value_too_large',
      message: `the credentials of vm "${vmName}" are ${tableBytes} bytes as OEM strings; its table has ${TABLE_MAX_BYTES}`,
    });
  }
  throwIfAny(problems);
  return credentials.map(({ name, value }) =>
    new Secret(Buffer.from(`${PREFIX}${name}=${Buffer.from(value.reveal()).toString('base64')}`)));
}

function problemsOf({ name, value }: SystemCredential): Problem[] {
  const problems: Problem[] = [];
  if (!NAME.test(name) || name === '.' || name === '..' || Buffer.byteLength(name) > NAME_MAX_BYTES) {
    problems.push({
      code: 'invalid_name',
      message: `credential name ${JSON.stringify(name)} is not a file name of 1 to ${NAME_MAX_BYTES} bytes without ":"`,
    });
  }
  if (value.sizeBytes > SECRET_MAX_BYTES) {
    problems.push({
      code: 'value_too_large',
      message: `credential "${name}" is ${value.sizeBytes} bytes; systemd takes ${SECRET_MAX_BYTES}`,
    });
  }
  return problems;
}

function stringBytes({ name, value }: SystemCredential): number {
  return PREFIX.length + Buffer.byteLength(name) + 1 + Math.ceil(value.sizeBytes / 3) * 4;
}
