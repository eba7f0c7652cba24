// How much room QEMU's q35 has for OEM strings, as it starts VMs here: with `-kernel` and `-initrd`.
//
// QEMU puts the initramfs below the last 160 KiB of low memory, and the firmware (SeaBIOS) puts its
// tables into them: 128 KiB of ACPI tables, and all of SMBIOS. What does not fit lies where the initramfs
// goes, the ACPI tables are overwritten, and the guest hangs before its first line; nobody reports it.
// QEMU's own end, 65,535 bytes with the 32-bit entry point, is reached only with a kernel that says that
// its initramfs must lie low (image/low-initrd-kernel.ts). No option of QEMU's sets any of this.
//
// All sums were measured with QEMU 7.2 and SeaBIOS 1.16.2, byte for byte; tests repeat them with what is
// there. Versions of later ones are strings in the tables, and may be longer: there is room for them.

/** SMBIOS 3.7, 7.12: the count of strings is one byte; QEMU lets it wrap in silence. */
export const STRINGS_MAX = 255;

/** QEMU: acpi_data_size, 0x28000, without ACPI_BUILD_TABLE_SIZE, 0x20000, to which ACPI tables are filled up. */
export const TABLES_MAX_BYTES = 32_768;

/** QEMU: the length is a field of 16 bits in the 32-bit entry point. Type 0, the firmware's, is within. */
const LARGE_TABLES_MAX_BYTES = 65_535;

/** Types 1, 3, 4, 16, 17, 19, 32 and 127, and of type 11 all but the strings; with a version of 0 characters. */
const BASE_BYTES = 285;

/** Three structures name the machine's version, `pc-q35-7.2`. */
const VERSION_FIELDS = 3;
const VERSION_MAX_BYTES = 'pc-q35-10.10'.length;

/** Type 0 is the firmware's: its version besides, such as `1.16.2-debian-1.16.2-1`. */
const TYPE_0_BYTES = 45;
const FIRMWARE_VERSION_MAX_BYTES = 64;

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** From here on part of the memory lies above 4 GiB, which takes a second type 19. */
const SPLIT_BYTES = 2816 * MIB;
const TYPE_19_BYTES = 33;

/** A memory device has at most 16 GiB; its structure names it "DIMM 0", "DIMM 1" and so on. */
const DEVICE_MAX_BYTES = 16 * GIB;
const TYPE_17_BYTES = 52;

/** Below 128 MiB for kernel and initramfs; above that the tables, and memory to boot in. */
const LOW_INITRD_MIN_RAM_BYTES = 192 * MIB;

/**
 * What OEM strings may take, each with the NUL that ends it. `ramBytes` is a multiple of 1 MiB. `initrdIsLow`:
 * whether the VM can be started with a kernel whose initramfs lies low.
 */
export function oemStringsMaxBytes(ramBytes: number, initrdIsLow: boolean): number {
  const maxBytes = initrdIsLow && ramBytes >= LOW_INITRD_MIN_RAM_BYTES ? LARGE_TABLES_MAX_BYTES : TABLES_MAX_BYTES;
  return maxBytes - TYPE_0_BYTES - FIRMWARE_VERSION_MAX_BYTES - ownTableBytes(ramBytes, VERSION_MAX_BYTES);
}

/** QEMU's tables without OEM strings, for a machine whose version has so many characters. */
export function ownTableBytes(ramBytes: number, versionBytes: number): number {
  const devices = Math.ceil(ramBytes / DEVICE_MAX_BYTES);
  const more = Array.from({ length: devices - 1 }, (_, index) => TYPE_17_BYTES + String(index + 1).length);
  return BASE_BYTES + VERSION_FIELDS * versionBytes
    + (ramBytes < SPLIT_BYTES ? 0 : TYPE_19_BYTES)
    + more.reduce((sum, bytes) => sum + bytes, 0);
}
