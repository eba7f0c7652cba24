// Names of systemd credentials, which both sides check: the host before it sends one, the agent before it
// makes a file of it.

/** systemd: NAME_MAX for a file name, FDNAME_MAX for a descriptor's; a credential's name is both. */
export const CREDENTIAL_NAME_MAX_BYTES = 255;

/**
 * systemd's credential_name_valid(): a file name, and no character outside printable ASCII, and no ":".
 * Without "=" too: in an OEM string the first one ends the name.
 */
const NAME = /^(?!\.{1,2}$)[\x20-\x7e]{1,255}$/;
const FORBIDDEN = /[/:=]/;

export const isCredentialName = (name: string): boolean => NAME.test(name) && !FORBIDDEN.test(name);
