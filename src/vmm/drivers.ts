// Which driver runs a VM.
import type { BootItem } from '../delivery/boot-items.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import type { BootSlot, Vmm } from './contract.ts';
import { firecrackerVmm } from './firecracker.ts';
import { qemuVmm, type QemuPrograms } from './qemu.ts';

/** Absolute paths. */
export interface VmmPrograms extends QemuPrograms {
  readonly firecracker: string;
}

export function vmmFor({ hypervisor, machine }: VmmChoice, programs: VmmPrograms): Vmm {
  if (hypervisor === 'firecracker') return firecrackerVmm(programs.firecracker);
  return qemuVmm(machine, programs);
}

/** The slot that takes an item: all of it but the value. */
export function bootSlotOf(item: BootItem): BootSlot {
  return item.form === 'oem-string' ? { form: 'oem-string' } : { form: 'fw-cfg', name: item.name };
}
