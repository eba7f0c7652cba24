// The VMMs that these tests run guests on, with KVM and for real, and what each takes of the machine.
import { findCommand } from '../../image/command.ts';
import { findAccelerator } from '../../src/vmm/accelerator.ts';
import { usesKernelVsock } from '../../src/vmm/vsock-device.ts';
import type { Hypervisor, MachineType } from '../../src/delivery/hypervisor.ts';
import { MISSING_PART } from '../vm/parts.ts';

export interface Variant {
  readonly title: string;
  readonly hypervisor: Hypervisor;
  /** QEMU's alone. */
  readonly machine?: MachineType;
  readonly vsock?: 'kernel' | 'vhost-device-vsock';
}

const LAB = 'npm run test:lab';

/** What a variant lacks on this machine and how to get it, in one line; false when it can run. */
export async function missingFor({ hypervisor, vsock }: Variant): Promise<string | false> {
  if (MISSING_PART !== false) return MISSING_PART;
  if (hypervisor !== 'qemu' && findCommand(hypervisor) === undefined) {
    return `${hypervisor} is not on the PATH: ${LAB} -- --${hypervisor}=PATH`;
  }
  // With the user's override it would be true of a machine without.
  const accelerator = await findAccelerator(undefined);
  const option = hypervisor === 'qemu' ? '' : ` -- --${hypervisor}=PATH`;
  if (accelerator !== 'kvm') return `this machine has no working KVM, and the nested lab has: ${LAB}${option}`;
  if (vsock === 'kernel' && !await usesKernelVsock(undefined, accelerator)) return `/dev/vhost-vsock can't be opened: modprobe vhost_vsock`;
  return false;
}

/** The variant's lines of a host group. */
export function groupLines({ hypervisor, machine }: Variant): string[] {
  return [`hypervisor: ${hypervisor}`, ...(machine === undefined ? [] : [`machine: ${machine}`])];
}
