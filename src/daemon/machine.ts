// What the daemon takes from the machine that it runs on, found once at its start, but for programs: what is
// installed later is found too. A part that is missing is named when a VM needs it: secrets can be kept, and
// other VMs served, without a hypervisor.
import { randomBytes } from 'node:crypto';
import type { HostGroup } from '../config/config.ts';
import { memoryDirectories } from '../vm/runtime-directory.ts';
import type { Vms } from '../vm/contract.ts';
import { findVmUids } from '../vm/vm-user.ts';
import { findPrograms, GUEST_ARCH } from '../vm/found-programs.ts';
import { openVms } from '../vm/vms.ts';
import { findAccelerator } from '../vmm/accelerator.ts';
import { findTscKhz } from '../vmm/time-stamp-counter.ts';
import { usesKernelVsock } from '../vmm/vsock-device.ts';
import { guestImage, type GuestImage } from './guest-image.ts';
import type { Log } from './log.ts';

export { GUEST_ARCH };

export interface Machine {
  /** The VMs of the daemon in this directory; those that run are adopted. */
  openVms(directory: string, log: Log): Promise<Vms>;
  guestImage(group: Pick<HostGroup, 'image' | 'kernelFile'>): Promise<GuestImage>;
}

export const thisMachine: Machine = {
  async openVms(directory, log) {
    const accelerator = await findAccelerator(process.env['SLICER_ACCEL']);
    return openVms({
      daemonDirectory: directory,
      uid: (process.geteuid as () => number)(),
      vmUids: await findVmUids(process.env['SLICER_VM_UIDS']),
      memoryDirectories: memoryDirectories(process.env),
      programs: await findPrograms(process.env['PATH'] ?? ''),
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
