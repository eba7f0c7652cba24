// How much room QEMU's q35 leaves in its SMBIOS tables for OEM strings. Its own structures come first
// and depend on the VM's memory; with the 32-bit entry point all tables together end at 65,535 bytes
// (SMBIOS 2.1: the length is a 16-bit field), and QEMU refuses to start past that.
//
// The sum was measured with QEMU 7.2, byte for byte; a test repeats it with the QEMU that is there.

/** SMBIOS 3.7, 7.12: the count of strings is one byte; QEMU lets it wrap in silence. */
export const STRINGS_MAX = 255;

const TABLES_MAX_BYTES = 65_535;

/** Types 1, 3, 4, 16, 17, 19, 32 and 127, and of type 11 all but the strings; with a version of 0 characters. */
const BASE_BYTES = 285;

/** Three structures name the machine's version, `pc-q35-7.2`: room for that of later ones. */
const VERSION_FIELDS = 3;
const VERSION_MAX_BYTES = 'pc-q35-10.10'.length;

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** From here on part of the memory lies above 4 GiB, which takes a second type 19. */
const SPLIT_BYTES = 2816 * MIB;
const TYPE_19_BYTES = 33;

/** A memory device has at most 16 GiB; its structure names it "DIMM 0", "DIMM 1" and so on. */
const DEVICE_MAX_BYTES = 16 * GIB;
const TYPE_17_BYTES = 52;

/** What OEM strings may take, each with the NUL that ends it. `ramBytes` is a multiple of 1 MiB. */
export function oemStringsMaxBytes(ramBytes: number): number {
  return TABLES_MAX_BYTES - ownTableBytes(ramBytes, VERSION_MAX_BYTES);
}

/** The tables without OEM strings, for a machine whose version has so many characters. */
export function ownTableBytes(ramBytes: number, versionBytes: number): number {
  const devices = Math.ceil(ramBytes / DEVICE_MAX_BYTES);
  const more = Array.from({ length: devices - 1 }, (_, index) => TYPE_17_BYTES + String(index + 1).length);
  return BASE_BYTES + VERSION_FIELDS * versionBytes
    + (ramBytes < SPLIT_BYTES ? 0 : TYPE_19_BYTES)
    + more.reduce((sum, bytes) => sum + bytes, 0);
}
