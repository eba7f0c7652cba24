// Which kernel and initramfs a host group's VMs boot.
import { findTinyImage, TINY_CMDLINE } from '../../image/tiny.ts';
import type { HostGroup } from '../config/config.ts';
import type { Volume } from '../vmm/contract.ts';

export interface GuestImage {
  readonly kernel: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly volumes: readonly Volume[];
  /** How long the guest may take to power off when asked to; 0: it is not asked. */
  readonly stopGraceMs: number;
}

/** An image of the user's own may have something to save; the tiny one has not. */
const OWN_IMAGE_GRACE_MS = 10_000;

/** Throws missing_part where the tiny image is needed and not built. */
export async function guestImage({ image, kernelFile }: Pick<HostGroup, 'image' | 'kernelFile'>): Promise<GuestImage> {
  if (image.kind === 'initrd' && kernelFile !== undefined) {
    return { kernel: kernelFile, initrd: image.path, cmdline: TINY_CMDLINE, volumes: [], stopGraceMs: OWN_IMAGE_GRACE_MS };
  }
  const tiny = await findTinyImage();
  return {
    kernel: kernelFile ?? tiny.kernel,
    initrd: image.kind === 'initrd' ? image.path : tiny.initrd,
    cmdline: tiny.cmdline,
    volumes: [],
    stopGraceMs: image.kind === 'initrd' ? OWN_IMAGE_GRACE_MS : 0,
  };
}
