// Which driver runs a VM.
import type { BootItem } from '../delivery/boot-items.ts';
import type { GuestArch, VmmChoice } from '../delivery/hypervisor.ts';
import { cloudHypervisorVmm, type CloudHypervisorPrograms } from './cloud-hypervisor.ts';
import type { BootSlot, Vmm } from './contract.ts';
import { firecrackerVmm } from './firecracker.ts';
import { qemuVmm, type QemuPrograms } from './qemu.ts';

/** Absolute paths. */
export interface VmmPrograms extends QemuPrograms, CloudHypervisorPrograms {
  readonly firecracker: string;
}

export function vmmFor({ hypervisor, machine }: VmmChoice, arch: GuestArch, programs: VmmPrograms): Vmm {
  switch (hypervisor) {
    case 'qemu': return qemuVmm(machine, programs);
    case 'cloud-hypervisor': return cloudHypervisorVmm(programs, arch);
    case 'firecracker': return firecrackerVmm(programs.firecracker);
  }
}

/** The slot that takes an item: all of it but the value. */
export function bootSlotOf(item: BootItem): BootSlot {
  return item.form === 'oem-string' ? { form: 'oem-string' } : { form: 'fw-cfg', name: item.name };
}
