// Finds what the host gave this VM over the boot channel: systemd credentials, which the VMM put into
// firmware tables that only root can read. Trusts the first place that has one, in systemd's order: where
// systemd already imported it, QEMU's fw_cfg, then SMBIOS type 11 (OEM strings, SMBIOS specification 7.12).
import * as std from 'std';
import * as sys from 'sys';
import { HOST_PORT } from '../src/wire/ports.ts';

const BOOT_TOKEN = 'slicer.boot-token';
const TOKEN = /^[0-9a-f]{64}$/;

const DIALLED_PORT = 'slicer.host-port';
/** VSOCK ports of a host that only root can bind. */
const RESERVED_PORT = /^(?:[1-9][0-9]{0,2}|10[01][0-9]|102[0-3])$/;

const IMPORTED = '/run/credentials/@system';
const FW_CFG = '/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials';
const DMI_ENTRIES = '/sys/firmware/dmi/entries';

/** SMBIOS: type, length and handle come first, the strings after the formatted part. */
const FORMATTED_LENGTH_OFFSET = 1;
const TABLE_MAX_BYTES = 65535;

/** More than a token or a port has. */
const SHORT_MAX_BYTES = 128;

/** The boot token, or the empty string where this VM has no boot channel. */
export function findBootToken(): string {
  return findCredential(BOOT_TOKEN, TOKEN) ?? '';
}

/** The host's port: another than 901 where several VMs share the host's side of VSOCK. */
export function findHostPort(): number {
  return Number(findCredential(DIALLED_PORT, RESERVED_PORT) ?? HOST_PORT);
}

/** The first that has the form of it. */
function findCredential(name: string, form: RegExp): string | undefined {
  for (const path of [`${IMPORTED}/${name}`, `${FW_CFG}/${name}/raw`]) {
    const text = readShort(path);
    if (text !== undefined && form.test(text)) return text;
  }
  const prefix = `io.systemd.credential.binary:${name}=`;
  for (let index = 0; ; index += 1) {
    const strings = oemStrings(`${DMI_ENTRIES}/11-${index}/raw`);
    if (strings === undefined) return undefined;
    const found = strings
      .filter((string) => string.startsWith(prefix))
      .map((string) => fromBase64(string.slice(prefix.length)))
      .find((text) => form.test(text));
    if (found !== undefined) return found;
  }
}

/** Undefined when there is no such file. Those of /sys say that they have no bytes, so that `loadFile` finds none. */
function readShort(path: string): string | undefined {
  const file = std.open(path, 'rb');
  if (file === null) return undefined;
  const bytes = new Uint8Array(SHORT_MAX_BYTES);
  const length = file.read(bytes.buffer, 0, SHORT_MAX_BYTES);
  file.close();
  return sys.text(bytes, 0, length);
}

/** Undefined when there is no such table: the kernel counts those of a type from 0. */
function oemStrings(path: string): string[] | undefined {
  const file = std.open(path, 'rb');
  if (file === null) return undefined;
  const bytes = new Uint8Array(TABLE_MAX_BYTES);
  const length = file.read(bytes.buffer, 0, TABLE_MAX_BYTES);
  file.close();
  return sys.text(bytes, Math.min(bytes[FORMATTED_LENGTH_OFFSET] ?? 0, length), length).split('\0');
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** ASCII text out of base64 (RFC 4648). */
function fromBase64(base64: string): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const letter of base64.replace(/=+$/, '')) {
    held = ((held << 6) | ALPHABET.indexOf(letter)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    text += String.fromCharCode((held >> bits) & 0xff);
  }
  return text;
}
