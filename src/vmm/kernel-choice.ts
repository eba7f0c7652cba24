// Which of two kernels a VM starts with: as a rule the uncompressed one, which is up the sooner; where the
// firmware's tables need more room than QEMU's q35 leaves them beside an initramfs, the one whose initramfs
// lies low. Pure.
import type { BootItem } from '../delivery/boot-items.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import { oemStringsMaxBytes } from '../delivery/smbios-table.ts';

export interface Kernels {
  /** An uncompressed ELF kernel, or what the user gave. */
  readonly kernel: string;
  /** A bzImage of the same kernel; absent where there is none. */
  readonly lowInitrdKernel?: string;
}

export function chooseKernel(
  { hypervisor, machine }: VmmChoice,
  ramBytes: number,
  items: readonly BootItem[],
  { kernel, lowInitrdKernel = kernel }: Kernels,
): string {
  const tableBytes = items.reduce((sum, { value }) => sum + value.sizeBytes + 1, 0);
  const needsRoom = hypervisor === 'qemu' && machine === 'q35' && tableBytes > oemStringsMaxBytes(ramBytes, false);
  return needsRoom ? lowInitrdKernel : kernel;
}
