// Where this machine has the programs that VMs are made of.
import { findAgent } from '../../image/agent.ts';
import { findVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import type { GuestArch } from '../delivery/hypervisor.ts';
import { findProgram, type VmPrograms } from './programs.ts';

/** A guest's, too: no VMM runs another than the host's here. */
export const GUEST_ARCH: GuestArch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** `path` as PATH. Where a program was looked for last, if it was found nowhere: a launch says so. */
export async function findPrograms(path: string): Promise<VmPrograms> {
  const [qemu, cloudHypervisor, firecracker, prlimit] = await Promise.all(
    ['qemu-system-x86_64', 'cloud-hypervisor', 'firecracker', 'prlimit'].map(async (name) => await findProgram(name, path) ?? `/usr/bin/${name}`),
  ) as [string, string, string, string];
  return {
    qemu, cloudHypervisor, firecracker, prlimit,
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
