// Credentials for the boot channel in the form that systemd and the agent read from SMBIOS type 11:
// `io.systemd.credential.binary:NAME=BASE64` (systemd.system-credentials(7)). Always the binary form,
// so that bytes arrive exactly. Pure. Whether they fit is the plan's question (plan.ts).
import { Secret } from '../secret/secret.ts';
import type { CredentialWish } from './credential.ts';

/** What goes into a VM's tables under a name that systemd takes. */
export interface SystemCredential {
  readonly name: string;
  readonly value: Secret;
}

const PREFIX = 'io.systemd.credential.binary:';
const NEWLINE = 0x0a;

/** The OEM strings for `credentials`, in their order. They hold the values, so each is a `Secret`. */
export function encodeOemStrings(credentials: readonly SystemCredential[]): readonly Secret[] {
  return credentials.map(({ name, value }) =>
    new Secret(Buffer.from(`${PREFIX}${name}=${Buffer.from(value.reveal()).toString('base64')}`)));
}

/** The length of the OEM string for a value of `sizeBytes`, without the NUL that ends it in the table. */
export function oemStringBytes(name: string, sizeBytes: number): number {
  return PREFIX.length + Buffer.byteLength(name) + 1 + Math.ceil(sizeBytes / 3) * 4;
}

/** The bytes that the guest gets: those of the secret, without one newline at the end where that is asked for. */
export function credentialValue({ trimNewline }: Pick<CredentialWish, 'trimNewline'>, value: Secret): Secret {
  const bytes = value.reveal();
  return trimNewline && bytes.at(-1) === NEWLINE ? new Secret(bytes.subarray(0, -1)) : value;
}
