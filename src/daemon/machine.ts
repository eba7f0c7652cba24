// What the daemon takes from the machine that it runs on, found once at its start. A part that is missing
// is named when a VM needs it: secrets can be kept, and other VMs served, without a hypervisor.
import { randomBytes } from 'node:crypto';
import { findAgent } from '../../image/agent.ts';
import { findVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import type { HostGroup } from '../config/config.ts';
import type { GuestArch } from '../delivery/hypervisor.ts';
import { memoryDirectories } from '../vm/runtime-directory.ts';
import type { Vms } from '../vm/contract.ts';
import { findProgram, type VmPrograms } from '../vm/programs.ts';
import { openVms } from '../vm/vms.ts';
import { findAccelerator } from '../vmm/accelerator.ts';
import { findTscKhz } from '../vmm/time-stamp-counter.ts';
import { usesKernelVsock } from '../vmm/vsock-device.ts';
import { guestImage, type GuestImage } from './guest-image.ts';
import type { Log } from './log.ts';

export interface Machine {
  /** The VMs of the daemon in this directory; those that run are adopted. */
  openVms(directory: string, log: Log): Promise<Vms>;
  guestImage(group: Pick<HostGroup, 'image' | 'kernelFile'>): Promise<GuestImage>;
}

/** A guest's, too: no VMM runs another than the host's here. */
export const GUEST_ARCH: GuestArch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

export const thisMachine: Machine = {
  async openVms(directory, log) {
    const accelerator = await findAccelerator(process.env['SLICER_ACCEL']);
    return openVms({
      daemonDirectory: directory,
      uid: (process.geteuid as () => number)(),
      memoryDirectories: memoryDirectories(process.env),
      programs: await programs(process.env['PATH'] ?? ''),
      accelerator,
      arch: GUEST_ARCH,
      tscKhz: await findTscKhz(),
      kernelVsock: await usesKernelVsock(process.env['SLICER_VSOCK'], accelerator),
      now: Date.now,
      randomBytes,
      warn: (message) => log.warn({}, message),
    });
  },
  guestImage,
};

/** Where a program was looked for last, if it was found nowhere: a launch says so. */
async function programs(path: string): Promise<VmPrograms> {
  return {
    qemu: await findProgram('qemu-system-x86_64', path) ?? '/usr/bin/qemu-system-x86_64',
    firecracker: await findProgram('firecracker', path) ?? '/usr/bin/firecracker',
    prlimit: await findProgram('prlimit', path) ?? '/usr/bin/prlimit',
    vhostDeviceVsock: found(findVhostDeviceVsock, '/usr/bin/vhost-device-vsock'),
    agent: found(() => findAgent(GUEST_ARCH), `slicer-agent-${GUEST_ARCH}`),
  };
}

function found(find: () => string, otherwise: string): string {
  try {
    return find();
  } catch {
    return otherwise;
  }
}
