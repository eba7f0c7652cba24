// The guest images that Slicer makes, by name.
import { ensureDebianImage, findDebianImage } from './debian.ts';
import type { GuestImage } from './guest-image.ts';
import { ensureTinyImage, findTinyImage } from './tiny.ts';

export const IMAGE_NAMES = ['tiny', 'debian'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

/** The image, if it was built from what is installed now. Throws missing_part if not. */
export const findGuestImage = (name: ImageName): Promise<GuestImage> => (name === 'tiny' ? findTinyImage() : findDebianImage());

/** The image, built if it wasn't before. `say` gets progress. */
export const ensureGuestImage = (name: ImageName, say: (line: string) => void): Promise<GuestImage> =>
  (name === 'tiny' ? ensureTinyImage() : ensureDebianImage(say));
