// QEMU's q35 machine with a VSOCK device in a process of its own (vhost-device-vsock), so that the host
// needs no kernel support for VSOCK. Everything that QEMU is not told to have is left out, and nothing
// that it reads from the user's or the system's configuration changes that.
import { connectQmp } from './qmp.ts';
import type { ProcessPlan, Vmm, VmSpec } from './contract.ts';

export interface QemuPrograms {
  /** Absolute path of `qemu-system-x86_64`. */
  readonly qemu: string;
  /** Absolute path of `vhost-device-vsock`, 0.3.0 or newer. */
  readonly vhostDeviceVsock: string;
}

const MIB = 1024 * 1024;
const FIRST_INHERITED = 3;

/**
 * Without cmpxchg16b under emulation: QEMU 7.2 (Debian 12) computes its flags from stale state, and about
 * one guest in ten that uses it dies of a double fault or hangs. Linux does without, at the same speed.
 */
const CPU = { kvm: 'host', tcg: 'qemu64,-cx16,+rdrand' } as const;

export function qemuVmm(programs: QemuPrograms): Vmm {
  return {
    plan: (spec) => [vsockProcess(programs.vhostDeviceVsock, spec), qemuProcess(programs.qemu, spec)],
    connect: (sockets, signal) => connectQmp(sockets.control, signal),
  };
}

function vsockProcess(program: string, spec: VmSpec): ProcessPlan {
  return {
    role: 'vsock',
    program,
    argv: [
      '--guest-cid', String(spec.guestCid),
      '--socket', spec.sockets.vhost,
      '--uds-path', spec.sockets.vsock,
    ],
    descriptors: [],
    readySocket: spec.sockets.vhost,
  };
}

function qemuProcess(program: string, spec: VmSpec): ProcessPlan {
  const memory = `${spec.ramBytes / MIB}M`;
  const oemStrings = Array.from({ length: spec.oemStringCount }, (_, index) => index);
  return {
    role: 'vmm',
    program,
    argv: [
      '-name', spec.name,
      '-no-user-config', '-nodefaults',
      '-display', 'none',
      // spawn=deny and its like: a guest that breaks out of QEMU can start nothing and raise nothing.
      '-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
      // With the 64-bit entry point SeaBIOS cuts a large table short in silence.
      '-machine', `q35,accel=${spec.accelerator},memory-backend=memory,smbios-entry-point-type=32,`
        + 'usb=off,vmport=off,dump-guest-core=off',
      '-cpu', CPU[spec.accelerator],
      '-smp', String(spec.cpus),
      '-m', memory,
      // vhost-user: the VSOCK device's process maps the guest's memory.
      '-object', `memory-backend-memfd,id=memory,size=${memory},share=on`,
      '-kernel', spec.kernel,
      '-initrd', spec.initrd,
      '-append', spec.cmdline,
      // Read once while QEMU starts, from files that have no name any more.
      ...oemStrings.flatMap((index) => ['-smbios', `type=11,path=/dev/fd/${FIRST_INHERITED + index}`]),
      // stdout is the console's log, stdin is /dev/null.
      '-chardev', 'stdio,id=console,signal=off',
      '-serial', 'chardev:console',
      '-chardev', `socket,id=control,path=${optionValue(spec.sockets.control)},server=on,wait=off`,
      '-mon', 'chardev=control,mode=control',
      // Behind a port, so that the device can be taken out and put back while the guest runs.
      '-chardev', `socket,id=vsock,path=${optionValue(spec.sockets.vhost)}`,
      '-device', 'pcie-root-port,id=vsock-port,chassis=1,slot=1',
      '-device', 'vhost-user-vsock-pci,id=vsock-device,chardev=vsock,bus=vsock-port',
      '-object', 'rng-builtin,id=rng',
      '-device', 'virtio-rng-pci,rng=rng',
      ...(spec.network === 'user' ? networkArgv() : []),
    ],
    descriptors: oemStrings.map((index) => ({ kind: 'oem-string', index })),
    readySocket: spec.sockets.control,
  };
}

/** Outgoing connections through QEMU's own network stack (slirp). No option ROM: nothing boots from it. */
function networkArgv(): string[] {
  return ['-netdev', 'user,id=network', '-device', 'virtio-net-pci,netdev=network,romfile='];
}

/** A value inside QEMU's comma-separated options: a comma is written twice (qemu(1), "-drive"). */
function optionValue(value: string): string {
  return value.replaceAll(',', ',,');
}
