// Which accelerator a VM runs on. `/dev/kvm` alone proves nothing: there are machines where it opens
// and creates VMs whose kernels hang, and what those lack is the processor's own virtualization.
import { open, readFile } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';
import type { Accelerator } from './contract.ts';

/** Intel VT-x and AMD-V, as flags in /proc/cpuinfo. */
const VIRTUALIZATION_FLAG = /^flags\s*:.*\b(vmx|svm)\b/m;

/** `override` is what the user asks for (`SLICER_ACCEL`), empty or undefined for no wish. Throws invalid_request. */
export function chooseAccelerator(
  override: string | undefined,
  machine: { readonly kvmOpens: boolean; readonly cpuinfo: string },
): Accelerator {
  if (override === 'kvm' || override === 'tcg') return override;
  if (override !== undefined && override !== '') {
    throw fail('invalid_request', `SLICER_ACCEL is ${JSON.stringify(override)}; it is "kvm", "tcg" or not set`);
  }
  return machine.kvmOpens && VIRTUALIZATION_FLAG.test(machine.cpuinfo) ? 'kvm' : 'tcg';
}

/** The same for the machine that this runs on. Throws invalid_request. */
export async function findAccelerator(override: string | undefined): Promise<Accelerator> {
  return chooseAccelerator(override, {
    kvmOpens: await opens('/dev/kvm'),
    cpuinfo: await readFile('/proc/cpuinfo', 'latin1').catch(() => ''),
  });
}

async function opens(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r+');
    await file.close();
    return true;
  } catch {
    return false;
  }
}
