// What a VMM driver does: turn a VM's specification into processes to start, hand the VMM what its
// command line does not carry, and speak to it once it runs. A specification and its plans hold names,
// sizes and paths, never a value: values reach a VMM through descriptors that the one who starts it
// opens, or over its API socket, so that neither argv nor the environment can show them.
import type { Problem } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';

export type Accelerator = 'kvm' | 'tcg';

/** Unix sockets of one VM, all in its private runtime directory. */
export interface VmSockets {
  /** The VM's VSOCK: the guest's connections to port P arrive at `PATH_P`, `CONNECT P` dials the guest. */
  readonly vsock: string;
  /** Between QEMU and a VSOCK device in a process of its own. */
  readonly vhost: string;
  /** Where the VMM takes orders: QMP for QEMU, the REST API of the others. */
  readonly control: string;
  /**
   * The user that the VM's processes run as, where it is another than this process's. Then sockets are the VM's
   * only when they are that user's, and files are handed over open: no path leads that user to them.
   */
  readonly owner?: number;
}

/** A raw disk. The first of a VM is /dev/vda in the guest, the second /dev/vdb, and so on. */
export interface Volume {
  readonly path: string;
  readonly readOnly: boolean;
}

/** A directory that a virtiofsd, started by somebody else, serves to the guest under a tag. */
export interface Share {
  readonly tag: string;
  /** Path of the vhost-user socket that the virtiofsd listens on. */
  readonly socket: string;
}

export type NetworkInterface =
  /** Outgoing connections through the VMM's own network stack. */
  | { readonly kind: 'user'; readonly mac?: string }
  /** A tap device that is there, owned by whoever starts the VM. */
  | { readonly kind: 'tap'; readonly name: string; readonly mac?: string }
  /** A macvtap interface that is there; its /dev/tapN is opened for the VMM. */
  | { readonly kind: 'macvtap'; readonly name: string; readonly device: string; readonly mac?: string };

export interface Balloon {
  /** What is taken from the guest when it starts. A multiple of 1 MiB. */
  readonly sizeBytes: number;
  /** Whether the guest gets it back before it kills a process for want of memory. */
  readonly deflateOnOom: boolean;
  /** Whether the guest tells which of its free memory the host may reclaim. */
  readonly freePageReporting: boolean;
}

/** How QEMU's guest has VSOCK; other VMMs bring their own. */
export type VsockDevice =
  | { readonly kind: 'vhost-device-vsock' }
  /** The host kernel's vhost-vsock, with a relay that listens on `hostPort` for this guest alone. */
  | { readonly kind: 'kernel'; readonly hostPort: number };

/** What the firmware hands to the guest, without its value. */
export type BootSlot =
  | { readonly form: 'oem-string' }
  /** `name`: as the guest finds it below `by_name`, at most 55 characters. */
  | { readonly form: 'fw-cfg'; readonly name: string };

export interface VmSpec {
  readonly name: string;
  readonly cpus: number;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  /** An uncompressed ELF kernel; QEMU's q35 takes a bzImage too. */
  readonly kernel: string;
  readonly initrd?: string;
  /** World-readable in the guest. */
  readonly cmdline: string;
  readonly volumes: readonly Volume[];
  readonly shares: readonly Share[];
  readonly interfaces: readonly NetworkInterface[];
  readonly balloon?: Balloon;
  /** Whether a guest that stops feeding its watchdog is reset. */
  readonly watchdog: boolean;
  /** How the VMM runs the guest: QEMU alone can do without KVM. */
  readonly accelerator: Accelerator;
  /** The rate of the machine's time-stamp counter in kHz, where it is known: an emulated microvm has no other clock. */
  readonly tscKhz?: number;
  /** 3 to 4294967294 (vsock(7)). */
  readonly guestCid: number;
  readonly vsock: VsockDevice;
  readonly sockets: VmSockets;
  readonly bootSlots: readonly BootSlot[];
}

/** An open file that a process inherits; descriptors begin at 3 in the order of the plan. */
export type InheritedDescriptor =
  /** The value of a boot slot, in a file that has no name any more. */
  | { readonly kind: 'boot-slot'; readonly index: number }
  /** A character device, opened for reading and writing. */
  | { readonly kind: 'device'; readonly path: string }
  /**
   * A file that the process could not get at by its path. `open`: for reading, or for both; `name`: not opened,
   * so that the process opens it by its descriptor's name in /proc, and its own rights decide; `content`: so that it
   * can be opened for reading like that, whatever the process's rights.
   */
  | { readonly kind: 'file'; readonly path: string; readonly access: 'open' | 'open-writable' | 'name' | 'content' };

export interface ProcessPlan {
  /** `vsock`: the VM's VSOCK device; `vmm`: the hypervisor. */
  readonly role: 'vsock' | 'vmm';
  readonly program: string;
  readonly argv: readonly string[];
  readonly descriptors: readonly InheritedDescriptor[];
  /** The Unix socket that the process listens on once the next one may start. */
  readonly readySocket: string;
  /** Whether its stderr may repeat a value, so that it goes to the log through the filter for that. */
  readonly filtersStderr: boolean;
  /** What the process needs to begin with, and gives up itself (capabilities(7)); nothing when absent. */
  readonly capability?: 'net_bind_service';
}

/** Another VSOCK process for a VM whose guest runs on. */
export interface VsockReplacement {
  readonly plan: ProcessPlan;
  /** Whether the guest's device has to be taken out and put back: see `VmmControl.replugVsock`. */
  readonly replugs: boolean;
}

/** A connection to a VMM that took its configuration. */
export interface VmmControl {
  /** Asks the guest to power off: the power button of ACPI, or what the VMM has in its place. */
  powerButton(): Promise<void>;
  /**
   * Resolves when the connection ends, which it does when the VMM does: with `true` when the VMM said
   * before that the guest had powered itself off. Absent where the VMM says it by its exit code, 0.
   */
  readonly ended?: Promise<boolean>;
  /**
   * Takes the VSOCK device out of the guest, calls `startProcess`, and puts the device back, with the process behind
   * it that now listens at `socket`; waits for the guest as long as it takes. Throws launch_failed, vm_not_running, the
   * signal's reason, and what `startProcess` does. Absent where the VMM can't.
   */
  replugVsock?(socket: string, startProcess: () => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Calls `listener` each time the guest's machine is reset, where the VMM tells: by the guest, or by whoever else may. */
  onReset(listener: () => void): void;
  close(): void;
}

export interface Vmm {
  /**
   * What this VMM lacks of a specification, each by its name; none when it can run it. Pure. `values`, once
   * they are known: as for `boot`, which then has no reason to refuse what it sends.
   */
  problems(spec: VmSpec, values?: readonly Secret[]): readonly Problem[];
  /** The processes of a VM, in the order in which they start. Pure. */
  plan(spec: VmSpec): readonly ProcessPlan[];
  /** How a VM whose VSOCK process ended gets another; absent, or undefined, where it can't. Pure. */
  vsockReplacement?(vm: Pick<VmSpec, 'guestCid' | 'vsock' | 'sockets'>): VsockReplacement | undefined;
  /**
   * Resolves when the VMM, whose processes run, took its configuration and the guest starts. `values`: one
   * for each boot slot, for a VMM that does not take them by descriptor. Throws launch_failed, without any
   * value in its message; `signal`'s reason when it aborts.
   */
  boot(spec: VmSpec, values: readonly Secret[], signal: AbortSignal): Promise<VmmControl>;
  /** A connection to a VMM that runs its guest already. Throws as `boot` does. */
  connect(sockets: VmSockets, signal: AbortSignal): Promise<VmmControl>;
}
