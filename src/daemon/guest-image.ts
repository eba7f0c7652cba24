// Which kernel, initramfs and disks a VM boots.
import { findGuestImage } from '../../image/guest-images.ts';
import { findTinyImage, TINY_CMDLINE } from '../../image/tiny.ts';
import type { HostGroup } from '../config/config.ts';
import type { Volume } from '../vmm/contract.ts';

export interface GuestImage {
  readonly kernel: string;
  readonly lowInitrdKernel?: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly volumes: readonly Volume[];
  /** How long the guest may take to power off when asked to; 0: it is not asked. */
  readonly stopGraceMs: number;
}

/** Services have something to save, as an image of the user's own may; the tiny one has not. */
const GRACE_MS = 10_000;

/** Throws missing_part where an image of Slicer's is needed and not built. */
export async function guestImage({ image, kernelFile }: Pick<HostGroup, 'image' | 'kernelFile'>): Promise<GuestImage> {
  if (image.kind === 'initrd') {
    const kernel = kernelFile ?? (await findTinyImage()).kernel;
    return { kernel, initrd: image.path, cmdline: TINY_CMDLINE, volumes: [], stopGraceMs: GRACE_MS };
  }
  const { disks, ...boot } = await findGuestImage(image.kind);
  return {
    ...boot,
    volumes: disks.map((path) => ({ path, readOnly: true })),
    stopGraceMs: image.kind === 'tiny' ? 0 : GRACE_MS,
  };
}
