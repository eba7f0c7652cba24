// Mode and owner of a secret's file, the same on the host and in the guest.

export interface FileAttributes {
  /** Permission bits, 0 to 0o777. */
  readonly mode: number;
  /** 0 to 4294967294. */
  readonly uid: number;
  readonly gid: number;
}

/** What `slicer secret create` gives a secret when nothing else is asked for. */
export const DEFAULT_ATTRIBUTES: FileAttributes = { mode: 0o600, uid: 0, gid: 0 };

/** Highest user or group id: 2^32 - 1 is the kernel's "no id" (chown(2): -1 leaves the owner as it is). */
export const ID_MAX = 4294967294;

const PERMISSIONS = /^0?[0-7]{3}$/;

/** Reads `0600` or `600`; undefined for anything else, setuid, setgid and sticky bits included. */
export function parsePermissions(text: string): number | undefined {
  return PERMISSIONS.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** `0600`: four octal digits, as the REST API and the CLI show them. */
export function formatPermissions(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

export function isId(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= ID_MAX;
}
