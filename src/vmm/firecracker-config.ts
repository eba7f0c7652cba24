// A VM as Firecracker (1.16) is told of it: one document with the members of its `--config-file`, which
// its API takes one by one. Pure, and without any value: Firecracker has no boot channel.
import type { Problem } from '../errors/slicer-error.ts';
import type { NetworkInterface, VmSpec } from './contract.ts';

const MIB = 1024 * 1024;

/** MAX_SUPPORTED_VCPUS of Firecracker's vmm crate (vmm_config/machine_config.rs). */
const CPUS_MAX = 32;
/** Interrupts 5 to 23 on x86 (arch/x86_64/layout.rs), two of them for VMGenID and VMClock. */
const DEVICES_MAX = 17;
/** CMDLINE_MAX_SIZE (arch/x86_64/layout.rs, arch/aarch64/layout.rs), with the closing NUL. */
const CMDLINE_MAX_BYTES = 2048;
/** What Firecracker itself adds, once and for each device. */
const OWN_CMDLINE_BYTES = ' pci=off'.length;
const DEVICE_CMDLINE_BYTES = ' virtio_mmio.device=4K@0xc0001000:23'.length;

/**
 * What a guest of Firecracker needs besides its image's own. It has no ACPI power-off and no reset: a reset
 * of its keyboard controller, which `reboot=k` asks for, is the one way in which a guest on x86 ends its VM.
 * The rest leaves out waiting for a mouse and a keyboard of which there is only Ctrl+Alt+Del.
 */
const CMDLINE = 'reboot=k i8042.noaux i8042.nomux i8042.dumbkbd';

/** The document of `--config-file` (VmmConfig in Firecracker's resources.rs); its API has the same members. */
export interface FirecrackerConfig {
  readonly 'machine-config': { readonly vcpu_count: number; readonly mem_size_mib: number };
  readonly 'boot-source': { readonly kernel_image_path: string; readonly initrd_path?: string; readonly boot_args: string };
  readonly drives: readonly {
    readonly drive_id: string;
    readonly is_root_device: boolean;
    readonly cache_type: 'Unsafe' | 'Writeback';
    readonly is_read_only: boolean;
    readonly path_on_host: string;
  }[];
  readonly 'network-interfaces': readonly { readonly iface_id: string; readonly host_dev_name: string; readonly guest_mac?: string }[];
  readonly vsock: { readonly guest_cid: number; readonly uds_path: string };
  readonly entropy: object;
  readonly balloon?: { readonly amount_mib: number; readonly deflate_on_oom: boolean; readonly free_page_reporting: boolean };
}

/** A PUT of Firecracker's API. */
export interface FirecrackerRequest {
  readonly path: string;
  readonly body: object;
}

/** What Firecracker lacks of a specification, each by its name. */
export function firecrackerProblems(spec: VmSpec): Problem[] {
  const problem = (message: string, hint: string): Problem => ({ code: 'invalid_request', message, hint });
  const lacks = (what: string, hint: string): Problem =>
    problem(`Firecracker has no ${what}, which vm "${spec.name}" asks for`, hint);
  const other = 'use hypervisor: qemu or cloud-hypervisor';
  const { balloon, ramBytes } = spec;
  const [devices, cmdlineBytes] = [deviceCountOf(spec), cmdlineBytesOf(spec)];
  return [
    ...spec.bootSlots.map((slot) => lacks(
      slot.form === 'oem-string' ? 'SMBIOS' : `fw_cfg for ${JSON.stringify(slot.name)}`, 'deliver over the live channel')),
    ...(spec.accelerator === 'kvm' ? [] : [lacks('emulation', 'run it on a machine with KVM, or use hypervisor: qemu')]),
    ...spec.shares.map(({ tag }) => lacks(`virtiofs for the share ${JSON.stringify(tag)}`, other)),
    ...spec.interfaces.flatMap((network) => interfaceProblem(network, lacks)),
    ...(spec.watchdog ? [lacks('watchdog', other)] : []),
    ...(spec.cpus > CPUS_MAX
      ? [problem(`vm "${spec.name}" has ${spec.cpus} cpus; Firecracker takes ${CPUS_MAX}`, other)]
      : []),
    ...(devices > DEVICES_MAX
      ? [problem(`vm "${spec.name}" has ${devices} virtio devices, its VSOCK and entropy devices with them; Firecracker takes ${DEVICES_MAX}`, other)]
      : []),
    ...(balloon !== undefined && balloon.sizeBytes >= ramBytes
      ? [problem(`the balloon of vm "${spec.name}" takes ${balloon.sizeBytes} of its ${ramBytes} bytes of memory; it must leave some`,
        'use a smaller one')]
      : []),
    ...(cmdlineBytes > CMDLINE_MAX_BYTES
      ? [problem(`the kernel command line of vm "${spec.name}" is ${cmdlineBytes} bytes with what Firecracker adds to it; the limit is ${CMDLINE_MAX_BYTES}`,
        'use a shorter one')]
      : []),
  ];
}

function interfaceProblem(network: NetworkInterface, lacks: (what: string, hint: string) => Problem): Problem[] {
  switch (network.kind) {
    case 'user': return [lacks('network stack of its own (network: user)', 'give it a tap device, or use hypervisor: qemu')];
    case 'macvtap': return [lacks(`macvtap for ${JSON.stringify(network.name)}`, 'give it a tap device')];
    case 'tap': return [];
  }
}

/** Of a specification without problems. */
export function firecrackerConfig(spec: VmSpec): FirecrackerConfig {
  const { cpus, ramBytes, kernel, initrd, volumes, interfaces, guestCid, sockets, balloon } = spec;
  return {
    'machine-config': { vcpu_count: cpus, mem_size_mib: ramBytes / MIB },
    'boot-source': {
      kernel_image_path: kernel,
      ...(initrd === undefined ? {} : { initrd_path: initrd }),
      boot_args: bootArgs(spec),
    },
    drives: volumes.map(({ path, readOnly }, index) => ({
      drive_id: `volume_${index}`,
      // Firecracker would put `root=` of its own on the command line.
      is_root_device: false,
      // Its default, Unsafe, ignores a guest that asks for its data to be on the disk.
      cache_type: readOnly ? 'Unsafe' : 'Writeback',
      is_read_only: readOnly,
      path_on_host: path,
    })),
    'network-interfaces': interfaces.flatMap((network, index) => (network.kind !== 'tap' ? [] : [{
      iface_id: `network_${index}`,
      host_dev_name: network.name,
      ...(network.mac === undefined ? {} : { guest_mac: network.mac }),
    }])),
    vsock: { guest_cid: guestCid, uds_path: sockets.vsock },
    entropy: {},
    ...(balloon === undefined ? {} : {
      balloon: {
        amount_mib: balloon.sizeBytes / MIB,
        deflate_on_oom: balloon.deflateOnOom,
        free_page_reporting: balloon.freePageReporting,
      },
    }),
  };
}

/** The document as requests, in an order that Firecracker takes: memory before the balloon that must fit it; the start last. */
export function firecrackerRequests(config: FirecrackerConfig): FirecrackerRequest[] {
  const { drives, 'network-interfaces': interfaces, ...rest } = config;
  return [
    ...Object.entries(rest).map(([member, body]) => ({ path: `/${member}`, body: body as object })),
    ...drives.map((drive) => ({ path: `/drives/${drive.drive_id}`, body: drive })),
    ...interfaces.map((network) => ({ path: `/network-interfaces/${network.iface_id}`, body: network })),
    { path: '/actions', body: { action_type: 'InstanceStart' } },
  ];
}

/** Before ` -- `, after which the words are those of the guest's first process. */
function bootArgs({ cmdline }: VmSpec): string {
  const [kernel, ...init] = cmdline.split(' -- ');
  return [`${kernel} ${CMDLINE}`, ...init].join(' -- ');
}

function deviceCountOf({ volumes, interfaces, balloon }: VmSpec): number {
  return volumes.length + interfaces.length + (balloon === undefined ? 2 : 3);
}

function cmdlineBytesOf(spec: VmSpec): number {
  return Buffer.byteLength(bootArgs(spec)) + OWN_CMDLINE_BYTES + deviceCountOf(spec) * DEVICE_CMDLINE_BYTES + 1;
}
