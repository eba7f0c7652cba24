// Finds the boot token: the systemd credential `slicer.boot-token`, which the VMM put into firmware
// tables that only root can read. Trusts the first place that has it, in systemd's order: where systemd
// already imported it, QEMU's fw_cfg, then SMBIOS type 11 (OEM strings, SMBIOS specification 7.12).
import * as std from 'std';
import * as sys from 'sys';

const CREDENTIAL = 'slicer.boot-token';
const OEM_PREFIX = `io.systemd.credential.binary:${CREDENTIAL}=`;
const TOKEN = /^[0-9a-f]{64}$/;

const IMPORTED = `/run/credentials/@system/${CREDENTIAL}`;
const FW_CFG = `/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/${CREDENTIAL}/raw`;
const DMI_ENTRIES = '/sys/firmware/dmi/entries';

/** SMBIOS: type, length and handle come first, the strings after the formatted part. */
const FORMATTED_LENGTH_OFFSET = 1;
const TABLE_MAX_BYTES = 65535;

/** The boot token, or the empty string where this VM has no boot channel. */
export function findBootToken(): string {
  for (const path of [IMPORTED, FW_CFG]) {
    const text = std.loadFile(path);
    if (text !== null && TOKEN.test(text)) return text;
  }
  for (let index = 0; ; index += 1) {
    const strings = oemStrings(`${DMI_ENTRIES}/11-${index}/raw`);
    if (strings === undefined) return '';
    const token = strings
      .filter((string) => string.startsWith(OEM_PREFIX))
      .map((string) => fromBase64(string.slice(OEM_PREFIX.length)))
      .find((text) => TOKEN.test(text));
    if (token !== undefined) return token;
  }
}

/** Undefined when there is no such table: the kernel counts those of a type from 0. */
function oemStrings(path: string): string[] | undefined {
  const file = std.open(path, 'rb');
  if (file === null) return undefined;
  const bytes = new Uint8Array(TABLE_MAX_BYTES);
  const length = file.read(bytes.buffer, 0, TABLE_MAX_BYTES);
  file.close();
  return sys.text(bytes, bytes[FORMATTED_LENGTH_OFFSET] ?? 0, length).split('\0');
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
