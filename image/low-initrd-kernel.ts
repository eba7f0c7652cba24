// A bzImage that lets nobody put its initramfs above 128 MiB. QEMU's q35 puts it right below the tables of
// the firmware otherwise, and those have room for 32 KiB of OEM strings only (src/delivery/smbios-table.ts).
// Both fields are the kernel's word to its loader (boot protocol of x86, Documentation/arch/x86/boot.rst);
// the kernel itself does not read them.

/** Of the initramfs' last byte. */
const LOW_INITRD_MAX_ADDRESS = 128 * 1024 * 1024 - 1;

const INITRD_ADDR_MAX = 0x22c;
const XLOADFLAGS = 0x236;
/** XLF_CAN_BE_LOADED_ABOVE_4G: with it a loader need not look at the other. */
const ABOVE_4G = 1 << 1;

export function lowInitrdKernel(bzImage: Uint8Array): Buffer {
  const kernel = Buffer.from(bzImage);
  kernel.writeUInt32LE(LOW_INITRD_MAX_ADDRESS, INITRD_ADDR_MAX);
  kernel.writeUInt16LE(kernel.readUInt16LE(XLOADFLAGS) & ~ABOVE_4G, XLOADFLAGS);
  return kernel;
}
