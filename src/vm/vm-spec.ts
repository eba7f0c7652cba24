// From what a VM is to be, and what was found for it on this machine, to what its VMM is told. Pure; the same
// for a VM of the daemon and for one in the foreground.
import type { BootItem } from '../delivery/boot-items.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import type { VmSpec } from '../vmm/contract.ts';
import { bootSlotOf } from '../vmm/drivers.ts';
import { chooseKernel, type Kernels } from '../vmm/kernel-choice.ts';

export interface SpecParts extends Omit<VmSpec, 'kernel' | 'initrd' | 'cmdline' | 'balloon' | 'tscKhz' | 'bootSlots'> {
  readonly vmm: VmmChoice;
  readonly boot: Kernels & {
    readonly initrd?: string;
    /** `slicer.hostname=NAME` is put before it. */
    readonly cmdline: string;
  };
  readonly balloon: VmSpec['balloon'] | undefined;
  readonly tscKhz: number | undefined;
  readonly items: readonly BootItem[];
}

export function vmSpec({ vmm, boot, balloon, tscKhz, items, ...parts }: SpecParts): VmSpec {
  return {
    ...parts,
    kernel: chooseKernel(vmm, parts.ramBytes, items, boot),
    ...(boot.initrd === undefined ? {} : { initrd: boot.initrd }),
    cmdline: `slicer.hostname=${parts.name} ${boot.cmdline}`,
    ...(balloon === undefined ? {} : { balloon }),
    ...(tscKhz === undefined ? {} : { tscKhz }),
    bootSlots: items.map(bootSlotOf),
  };
}
