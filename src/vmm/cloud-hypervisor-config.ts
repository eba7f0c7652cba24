// A VM as Cloud Hypervisor (v53) is told of it: the JSON of `PUT /api/v1/vm.create`, the members of VmConfig
// in vmm/src/vm_config.rs. Pure. Cloud Hypervisor drops a member that it does not know in silence, so what is
// misspelt here shows nowhere else. The JSON has the values of the OEM strings, and goes nowhere but to the
// API socket, or to where `slicer render` is told to put it.
import type { GuestArch } from '../delivery/hypervisor.ts';
import { STRINGS_MAX } from '../delivery/smbios-table.ts';
import type { Problem } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import type { NetworkInterface, VmSpec } from './contract.ts';

/** VIRTIO_FS_TAG_LEN (virtio 1.2, 5.11.4); a longer one is cut in silence. */
const SHARE_TAG_MAX_BYTES = 36;

/** NetConfig: what `vm.create` and `vm.add-net` take. */
export interface NetConfig {
  /** Absent for one whose descriptors come with the request. */
  readonly tap?: string;
  readonly mac?: string;
  /** Both directions of each pair: a pair for each CPU. A tap for more than one pair must be a multi_queue one. */
  readonly num_queues: number;
}

/** VmConfig, as far as it is used. */
export interface VmCreate {
  readonly cpus: { readonly boot_vcpus: number; readonly max_vcpus: number };
  readonly memory: { readonly size: number; readonly shared: boolean };
  readonly payload: { readonly kernel: string; readonly initramfs?: string; readonly cmdline: string };
  readonly disks?: readonly {
    readonly path: string;
    readonly readonly: boolean;
    readonly num_queues: number;
    readonly image_type: 'Raw';
  }[];
  readonly net?: readonly NetConfig[];
  readonly fs?: readonly { readonly tag: string; readonly socket: string }[];
  readonly rng: { readonly src: string };
  readonly balloon?: { readonly size: number; readonly deflate_on_oom: boolean; readonly free_page_reporting: boolean };
  readonly vsock: { readonly cid: number; readonly socket: string };
  readonly watchdog: boolean;
  readonly serial: { readonly mode: 'Tty' };
  readonly console: { readonly mode: 'Off' };
  readonly platform?: { readonly oem_strings: readonly string[] };
}

/** What Cloud Hypervisor lacks of a specification on a host of this architecture, each by its name. */
export function cloudHypervisorProblems(spec: VmSpec, arch: GuestArch): Problem[] {
  const problem = (message: string, hint: string): Problem => ({ code: 'invalid_request', message, hint });
  const lacks = (what: string, hint: string): Problem =>
    problem(`Cloud Hypervisor has no ${what}, which vm "${spec.name}" asks for`, hint);
  const { accelerator, balloon, bootSlots, interfaces, ramBytes, shares } = spec;
  const strings = bootSlots.filter(({ form }) => form === 'oem-string').length;
  return [
    ...(accelerator === 'kvm' ? [] : [lacks('emulation', 'run it on a machine with KVM, or use hypervisor: qemu')]),
    ...bootSlots.flatMap((slot) => (slot.form === 'oem-string' ? [] : [
      lacks(`fw_cfg for ${JSON.stringify(slot.name)}`, 'use hypervisor: qemu with machine: microvm'),
    ])),
    // It takes them there, and drops them in silence.
    ...(strings > 0 && arch !== 'x86_64' ? [lacks(`SMBIOS on ${arch}`, 'deliver over the live channel')] : []),
    // Its count of them is one byte, and wraps in silence.
    ...(strings > STRINGS_MAX
      ? [problem(`vm "${spec.name}" has ${strings} OEM strings; Cloud Hypervisor takes ${STRINGS_MAX}`, 'deliver some over the live channel')]
      : []),
    ...(interfaces.some(({ kind }) => kind === 'user')
      ? [lacks('network stack of its own (network: user)', 'give it a tap device, or use hypervisor: qemu')]
      : []),
    ...shares.filter(({ tag }) => Buffer.byteLength(tag) > SHARE_TAG_MAX_BYTES).map(({ tag }) => problem(
      `the share ${JSON.stringify(tag)} of vm "${spec.name}" has a tag of ${Buffer.byteLength(tag)} bytes; virtiofs takes ${SHARE_TAG_MAX_BYTES}`,
      'use a shorter one')),
    ...(balloon !== undefined && balloon.sizeBytes >= ramBytes
      ? [problem(`the balloon of vm "${spec.name}" takes ${balloon.sizeBytes} of its ${ramBytes} bytes of memory; it must leave some`,
        'use a smaller one')]
      : []),
  ];
}

/**
 * Of a specification without problems. `oemStrings`: one for each boot slot. What the guest's serial port
 * writes goes to the process's standard output, which need not be a terminal. A network that has descriptors,
 * and what comes after it, is not in it: see `addedInterfaces`.
 */
export function cloudHypervisorConfig(spec: VmSpec, oemStrings: readonly Secret[]): VmCreate {
  const { cpus, ramBytes, kernel, initrd, cmdline, volumes, shares, interfaces, balloon, watchdog, guestCid, sockets } = spec;
  const net = interfaces.slice(0, interfaces.length - addedInterfaces(spec).length);
  return {
    cpus: { boot_vcpus: cpus, max_vcpus: cpus },
    // virtiofsd maps the guest's memory.
    memory: { size: ramBytes, shared: shares.length > 0 },
    payload: { kernel, ...(initrd === undefined ? {} : { initramfs: initrd }), cmdline },
    ...(volumes.length === 0 ? {} : {
      disks: volumes.map(({ path, readOnly }) => ({
        path,
        readonly: readOnly,
        num_queues: cpus,
        // Found out by itself, a raw one can't be written in its first sector, and is another type when the guest says so.
        image_type: 'Raw',
      })),
    }),
    ...(net.length === 0 ? {} : { net: net.map((network) => netConfig(network, cpus)) }),
    ...(shares.length === 0 ? {} : { fs: shares.map(({ tag, socket }) => ({ tag, socket })) }),
    rng: { src: '/dev/urandom' },
    ...(balloon === undefined ? {} : {
      balloon: {
        size: balloon.sizeBytes, deflate_on_oom: balloon.deflateOnOom, free_page_reporting: balloon.freePageReporting,
      },
    }),
    vsock: { cid: guestCid, socket: sockets.vsock },
    watchdog,
    serial: { mode: 'Tty' },
    console: { mode: 'Off' },
    ...(oemStrings.length === 0 ? {} : {
      platform: { oem_strings: oemStrings.map((value) => Buffer.from(value.reveal()).toString('utf8')) },
    }),
  };
}

/** The interfaces from the first that has descriptors on: each takes a `vm.add-net`, in this order, before the guest boots. */
export function addedInterfaces({ interfaces }: VmSpec): readonly NetworkInterface[] {
  const first = interfaces.findIndex(({ kind }) => kind === 'macvtap');
  return first === -1 ? [] : interfaces.slice(first);
}

/** `mac`: where the interface itself names none. Absent both, Cloud Hypervisor draws one at random. */
export function netConfig(network: NetworkInterface, cpus: number, mac = network.mac): NetConfig {
  return {
    ...(network.kind === 'tap' ? { tap: network.name } : {}),
    ...(mac === undefined ? {} : { mac }),
    num_queues: 2 * cpus,
  };
}
