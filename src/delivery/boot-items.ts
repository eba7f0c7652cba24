// What the firmware of a VM is handed, with its values: one item for each credential and static string, in
// the form that its VMM carries. Pure. Whether all of it fits is the plan's question (plan.ts).
import { Secret } from '../secret/secret.ts';
import { BOOT_TOKEN_CREDENTIAL, HOST_PORT_CREDENTIAL } from './credential.ts';
import { FW_CFG_PREFIX } from './boot-room.ts';
import type { BootChannel } from './hypervisor.ts';
import { encodeOemStrings, type SystemCredential } from './oem-strings.ts';

export type BootItem =
  /** The whole string, without the NUL that ends it. */
  | { readonly form: 'oem-string'; readonly value: Secret }
  /** The bytes as the guest gets them. `name`: as the guest finds it below `by_name`. */
  | { readonly form: 'fw-cfg'; readonly name: string; readonly value: Secret };

/**
 * The credentials in their order, Slicer's own first, and then the static strings, which only SMBIOS has.
 * None where there is no boot channel.
 */
export function encodeBootItems(
  channel: BootChannel | undefined, credentials: readonly SystemCredential[], staticStrings: readonly string[] = [],
): readonly BootItem[] {
  switch (channel) {
    case 'smbios': {
      const strings = [...encodeOemStrings(credentials), ...staticStrings.map((text) => new Secret(Buffer.from(text)))];
      return strings.map((value) => ({ form: 'oem-string', value }));
    }
    case 'fw-cfg': return credentials.map(({ name, value }) => ({ form: 'fw-cfg', name: `${FW_CFG_PREFIX}${name}`, value }));
    case undefined: return [];
  }
}

/** Slicer's own, which every VM with a boot channel is sent before all others; their sizes are the plan's `OWN_CREDENTIALS`. */
export const ownCredentials = (bootToken: Secret, hostPort: number): readonly SystemCredential[] => [
  { name: BOOT_TOKEN_CREDENTIAL, value: bootToken },
  { name: HOST_PORT_CREDENTIAL, value: new Secret(Buffer.from(String(hostPort))) },
];
