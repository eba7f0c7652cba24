// Where this machine has the programs that VMs are made of.
import { delimiter, isAbsolute } from 'node:path';
import { findAgent } from '../../image/agent.ts';
import { findCommand } from '../../image/command.ts';
import { findVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import type { GuestArch } from '../delivery/hypervisor.ts';
import type { VmPrograms } from './programs.ts';

/** A guest's, too: no VMM runs another than the host's here. */
export const GUEST_ARCH: GuestArch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/**
 * `path` as PATH. Each is looked for when it is asked for: a service may start before what it needs is installed.
 * Where it was looked for last, if it was found nowhere: a launch says so.
 */
export async function findPrograms(path: string): Promise<VmPrograms> {
  // A relative directory would be another one for whom a VM is started.
  const directories = path.split(delimiter).filter(isAbsolute).join(delimiter);
  const named = (name: string): string => findCommand(name, directories) ?? `/usr/bin/${name}`;
  return {
    get qemu() { return named('qemu-system-x86_64'); },
    get cloudHypervisor() { return named('cloud-hypervisor'); },
    get firecracker() { return named('firecracker'); },
    get setpriv() { return named('setpriv'); },
    get vhostDeviceVsock() { return found(findVhostDeviceVsock, '/usr/bin/vhost-device-vsock'); },
    get agent() { return found(() => findAgent(GUEST_ARCH), `slicer-agent-${GUEST_ARCH}`); },
  };
}

function found(find: () => string, otherwise: string): string {
  try {
    return find();
  } catch {
    return otherwise;
  }
}
