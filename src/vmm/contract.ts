// What a VMM driver does: turn a VM's specification into processes to start, and speak to the VMM once
// it runs. Plans hold names, sizes and paths, never a value: values reach a VMM through descriptors
// that the one who starts it opens, so that neither argv nor the environment can show them.

export type Accelerator = 'kvm' | 'tcg';

/** Unix sockets of one VM, all in its private runtime directory. */
export interface VmSockets {
  /** The VM's VSOCK: the guest's connections to port P arrive at `PATH_P`, `CONNECT P` dials the guest. */
  readonly vsock: string;
  /** Between VMM and VSOCK device. */
  readonly vhost: string;
  /** Where the VMM takes orders: QMP for QEMU. */
  readonly control: string;
}

export interface VmSpec {
  readonly name: string;
  readonly cpus: number;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  readonly kernel: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly network: 'none' | 'user';
  readonly accelerator: Accelerator;
  /** 3 to 4294967294 (vsock(7)). */
  readonly guestCid: number;
  readonly sockets: VmSockets;
  /** How many OEM strings the boot channel carries, each from a descriptor of its own. */
  readonly oemStringCount: number;
}

/** An open file that a process inherits; descriptors begin at 3 in the order of the plan. */
export interface InheritedDescriptor {
  readonly kind: 'oem-string';
  readonly index: number;
}

export interface ProcessPlan {
  /** `vsock`: the VM's VSOCK device; `vmm`: the hypervisor. */
  readonly role: 'vsock' | 'vmm';
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly InheritedDescriptor[];
  /** The Unix socket that the process listens on once the next one may start. */
  readonly readySocket: string;
}

/** A connection to a VMM that took its configuration. */
export interface VmmControl {
  /** Presses the guest's power button (ACPI). */
  powerButton(): Promise<void>;
  /**
   * Resolves when the connection ends, which it does when the VMM does: with `true` when the VMM said
   * before that the guest had powered itself off.
   */
  readonly ended: Promise<boolean>;
  /** Calls `listener` each time the guest's machine is reset: by the guest, or by whoever else may. */
  onReset(listener: () => void): void;
  close(): void;
}

export interface Vmm {
  /** The processes of a VM, in the order in which they start. Pure. */
  plan(spec: VmSpec): readonly ProcessPlan[];
  /** Resolves when the VMM took its configuration and answers. */
  connect(sockets: VmSockets, signal: AbortSignal): Promise<VmmControl>;
}
