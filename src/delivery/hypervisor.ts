// The VMMs, and what each can bring to a guest at boot. Pure. Cloud Hypervisor takes OEM strings on
// aarch64 too, and drops them in silence; Firecracker has only its kernel command line, which every
// process in the guest can read.

export const HYPERVISORS = ['qemu', 'cloud-hypervisor', 'firecracker'] as const;
export type Hypervisor = (typeof HYPERVISORS)[number];

/** QEMU's; the others have one. */
export const MACHINE_TYPES = ['q35', 'microvm'] as const;
export type MachineType = (typeof MACHINE_TYPES)[number];

export interface VmmChoice {
  readonly hypervisor: Hypervisor;
  /** `q35` for every hypervisor but QEMU, where it means nothing. */
  readonly machine: MachineType;
}

export type GuestArch = 'x86_64' | 'aarch64';

/** `smbios`: OEM strings in SMBIOS type 11. `fw-cfg`: QEMU's firmware configuration device. */
export type BootChannel = 'smbios' | 'fw-cfg';

/** What can bring bytes to root in the guest, and to nobody else there, before its first service starts. */
export function bootChannelOf({ hypervisor, machine }: VmmChoice, arch: GuestArch): BootChannel | undefined {
  switch (hypervisor) {
    case 'qemu': return machine === 'microvm' ? 'fw-cfg' : 'smbios';
    case 'cloud-hypervisor': return arch === 'x86_64' ? 'smbios' : undefined;
    case 'firecracker': return undefined;
  }
}

/** How messages call it: `QEMU microvm`. */
export function vmmTitle({ hypervisor, machine }: VmmChoice): string {
  switch (hypervisor) {
    case 'qemu': return `QEMU ${machine}`;
    case 'cloud-hypervisor': return 'Cloud Hypervisor';
    case 'firecracker': return 'Firecracker';
  }
}
