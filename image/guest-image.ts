// What a guest image is made of.

export interface GuestImage {
  /** Path of an uncompressed ELF kernel. */
  readonly kernel: string;
  /** Path of the same kernel as a bzImage whose initramfs lies low. */
  readonly lowInitrdKernel: string;
  /** Path of an uncompressed cpio archive. */
  readonly initrd: string;
  /** The kernel's command line; a launch adds `slicer.hostname=NAME`. */
  readonly cmdline: string;
  /** Paths of raw disks, which guests get read-only and share. */
  readonly disks: readonly string[];
}
