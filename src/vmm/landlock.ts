// Landlock (landlock(7)): Cloud Hypervisor can leave itself no file but those of its VM. It asks for all that
// version 3 has, or ends: so it is told to where the kernel has that.
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { VmSpec } from './contract.ts';

/** Version 3 came with Linux 6.2. */
const KERNEL_MIN = [6, 2] as const;

/** `lsm` is /sys/kernel/security/lsm, the security modules that are switched on; `kernel` is uname(2)'s release. */
export function hasLandlock(lsm: string, kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[^0-9]/, 2).map(Number);
  const isNewEnough = major > KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor >= KERNEL_MIN[1]);
  return isNewEnough && lsm.trim().split(',').includes('landlock');
}

/** The same for this machine; false where securityfs is not mounted. */
export const findLandlock = async (): Promise<boolean> => hasLandlock(await readFile('/sys/kernel/security/lsm', 'latin1').catch(() => ''), release());

/** The members of VmConfig that switch it on. It has rules of its own for what the VM's other members name, but none for taps. */
export function landlockConfig({ interfaces }: VmSpec): { readonly landlock_enable: true; readonly landlock_rules?: readonly { readonly path: string; readonly access: string }[] } {
  return {
    landlock_enable: true,
    ...(interfaces.some(({ kind }) => kind === 'tap')
      ? { landlock_rules: [{ path: '/dev/net/tun', access: 'rw' }, { path: '/sys/class/net', access: 'r' }, { path: '/sys/devices', access: 'r' }] }
      : {}),
  };
}
