// The guest images that Slicer makes, by name.
import { ensureDebianImage, findDebianImage } from './debian.ts';
import { ensureTinyImage, findTinyImage } from './tiny.ts';

export const IMAGE_NAMES = ['tiny', 'debian'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

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

/** The image, if it was built from what is installed now. Throws missing_part if not. */
export const findGuestImage = (name: ImageName): Promise<GuestImage> => (name === 'tiny' ? findTinyImage() : findDebianImage());

/** The image, built if it wasn't before. `say` gets progress. */
export const ensureGuestImage = (name: ImageName, say: (line: string) => void): Promise<GuestImage> =>
  (name === 'tiny' ? ensureTinyImage() : ensureDebianImage(say));
