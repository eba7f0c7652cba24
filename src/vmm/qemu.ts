// QEMU's q35 and microvm machines. VSOCK is a device in a process of its own (vhost-device-vsock), so that
// the host needs no kernel support for it, or the kernel's with a relay in front. Everything that QEMU is
// not told to have is left out, and nothing that it reads from the user's or the system's configuration
// changes that.
import type { MachineType } from '../delivery/hypervisor.ts';
import type { Problem } from '../errors/slicer-error.ts';
import type { InheritedDescriptor, ProcessPlan, Vmm, VmSpec } from './contract.ts';
import { deviceArgv, MIB, optionValue } from './qemu-devices.ts';
import { FIRST_INHERITED, pathOfDescriptor } from './inherited-files.ts';
import { connectQmp } from './qmp.ts';

export interface QemuPrograms {
  /** Absolute path of `qemu-system-x86_64`. */
  readonly qemu: string;
  /** Absolute path of `vhost-device-vsock`, 0.3.0 or newer. */
  readonly vhostDeviceVsock: string;
  /** The agent's binary, for its host mode that relays the kernel's VSOCK. */
  readonly agent: string;
}

/**
 * The largest packet that the guest's kernel sends, since it sends no more than it has credit for. Packets above
 * 32 KiB less headers are in several pieces there, which vhost-device-vsock 0.3.0 does not read and never gives
 * back: any process in the guest could use the queue up, and no other would get a byte through.
 */
const VSOCK_PACKET_MAX_BYTES = 31 * 1024;

/**
 * Without cmpxchg16b under emulation: QEMU 7.2 (Debian 12) computes its flags from stale state, and about
 * one guest in ten that uses it dies of a double fault or hangs. Linux does without, at the same speed.
 */
const CPU = { kvm: 'host', tcg: 'qemu64,-cx16,+rdrand' } as const;

const MACHINE: Record<MachineType, string> = {
  // With the 64-bit entry point SeaBIOS cuts a large table short in silence.
  q35: 'smbios-entry-point-type=32,usb=off,vmport=off',
  // ACPI: how the guest finds fw_cfg and the virtio devices, and how it is powered off.
  microvm: 'acpi=on,pcie=off,usb=off,auto-kernel-cmdline=off',
};

/** QEMU aborts when there are more files than slots; its own take fewer than this. */
const OWN_FW_CFG_FILES = 32;

export function qemuVmm(machine: MachineType, programs: QemuPrograms): Vmm {
  return {
    problems: (spec) => problems(machine, spec),
    plan: (spec) => [vsockProcess(programs, spec), qemuProcess(machine, programs.qemu, spec)],
    vsockReplacement: (vm) => {
      const replugs = vm.vsock.kind === 'vhost-device-vsock';
      // microvm has no bus on which a device can be put while it runs.
      return replugs && machine === 'microvm' ? undefined : { plan: vsockProcess(programs, vm), replugs };
    },
    boot: async ({ sockets, balloon, ramBytes }, _values, signal) => {
      const control = await connectQmp(sockets, signal);
      // QEMU's balloon is told what the guest keeps.
      if (balloon !== undefined && balloon.sizeBytes > 0) await control.setBalloon(ramBytes - balloon.sizeBytes);
      return control;
    },
    connect: (sockets, signal) => connectQmp(sockets, signal),
  };
}

function problems(machine: MachineType, spec: VmSpec): Problem[] {
  const lacks = (what: string, hint: string): Problem =>
    ({ code: 'invalid_request', message: `QEMU ${machine} has no ${what}, which vm "${spec.name}" asks for`, hint });
  const wrongSlots = spec.bootSlots.some(({ form }) => form !== (machine === 'q35' ? 'oem-string' : 'fw-cfg'));
  return [
    ...(machine === 'microvm' && spec.watchdog ? [lacks('watchdog', 'use machine: q35')] : []),
    ...(wrongSlots ? [lacks(machine === 'q35' ? 'fw_cfg credentials' : 'SMBIOS', `use machine: ${machine === 'q35' ? 'microvm' : 'q35'}`)] : []),
  ];
}

function vsockProcess(programs: QemuPrograms, { guestCid, vsock, sockets }: Pick<VmSpec, 'guestCid' | 'vsock' | 'sockets'>): ProcessPlan {
  const common = { role: 'vsock', descriptors: [], filtersStderr: false } as const;
  if (vsock.kind === 'kernel') {
    return {
      ...common,
      program: programs.agent,
      argv: ['vsock', '--cid', String(guestCid), '--port', String(vsock.hostPort), '--uds-path', sockets.vsock],
      readySocket: sockets.vsock,
      // Its port of the host is a reserved one.
      capability: 'net_bind_service',
    };
  }
  return {
    ...common,
    program: programs.vhostDeviceVsock,
    argv: [
      '--guest-cid', String(guestCid), '--socket', sockets.vhost, '--uds-path', sockets.vsock,
      '--tx-buffer-size', String(VSOCK_PACKET_MAX_BYTES),
    ],
    readySocket: sockets.vhost,
  };
}

function qemuProcess(machine: MachineType, program: string, spec: VmSpec): ProcessPlan {
  const descriptors: InheritedDescriptor[] = spec.bootSlots.map((_, index) => ({ kind: 'boot-slot', index }));
  const inherit = (descriptor: InheritedDescriptor): number => FIRST_INHERITED + descriptors.push(descriptor) - 1;
  const file = (path: string): string =>
    (spec.sockets.owner === undefined ? path : pathOfDescriptor(inherit({ kind: 'file', path, access: 'content' })));
  return {
    role: 'vmm',
    program,
    argv: [
      '-name', spec.name,
      '-no-user-config', '-nodefaults',
      '-display', 'none',
      // spawn=deny and its like: a guest that breaks out of QEMU can start nothing and raise nothing.
      '-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
      '-machine', `${machine},accel=${spec.accelerator},memory-backend=memory,${MACHINE[machine]},dump-guest-core=off`,
      '-cpu', CPU[spec.accelerator],
      '-smp', String(spec.cpus),
      '-m', `${spec.ramBytes / MIB}M`,
      // vhost-user: the processes of VSOCK device and shares map the guest's memory.
      '-object', `memory-backend-memfd,id=memory,size=${spec.ramBytes / MIB}M,share=on`,
      '-kernel', file(spec.kernel),
      ...(spec.initrd === undefined ? [] : ['-initrd', file(spec.initrd)]),
      '-append', cmdlineOf(machine, spec),
      ...bootSlotArgv(spec),
      // stdout is the console's log, stdin is /dev/null.
      '-chardev', 'stdio,id=console,signal=off',
      '-serial', 'chardev:console',
      '-chardev', `socket,id=control,path=${optionValue(spec.sockets.control)},server=on,wait=off`,
      '-mon', 'chardev=control,mode=control',
      ...deviceArgv(machine, spec, inherit),
    ],
    descriptors,
    readySocket: spec.sockets.control,
    filtersStderr: false,
  };
}

/** With ACPI and without PCI Linux uses none of the timers that it could measure the time-stamp counter with. */
function cmdlineOf(machine: MachineType, { cmdline, accelerator, tscKhz }: VmSpec): string {
  const measures = machine === 'q35' || accelerator === 'kvm' || tscKhz === undefined;
  return measures ? cmdline : `tsc_early_khz=${tscKhz} ${cmdline}`;
}

/** Read once while QEMU starts, from files that have no name any more. */
function bootSlotArgv({ bootSlots }: VmSpec): string[] {
  const files = bootSlots.flatMap((slot, index) => {
    const path = `/dev/fd/${FIRST_INHERITED + index}`;
    return slot.form === 'oem-string'
      ? ['-smbios', `type=11,path=${path}`]
      : ['-fw_cfg', `name=${optionValue(slot.name)},file=${path}`];
  });
  const usesFiles = bootSlots.some(({ form }) => form === 'fw-cfg');
  return usesFiles ? ['-global', `fw_cfg_io.x-file-slots=${bootSlots.length + OWN_FW_CFG_FILES}`, ...files] : files;
}
