// Whether QEMU's guests have VSOCK from the host's kernel (vhost-vsock) or from a process for each VM. The
// kernel's is faster, and belongs to the whole machine: its port 1 to 1023 can be had by root alone.
import { open } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';
import type { Accelerator } from './contract.ts';

/** `override` is what the user asks for (`SLICER_VSOCK`), empty or undefined for no wish. Throws invalid_request. */
export function chooseKernelVsock(
  override: string | undefined,
  machine: { readonly deviceOpens: boolean; readonly isRoot: boolean; readonly accelerator: Accelerator },
): boolean {
  if (override === 'kernel') return true;
  if (override === 'vhost-device-vsock') return false;
  if (override !== undefined && override !== '') {
    throw fail('invalid_request', `SLICER_VSOCK is ${JSON.stringify(override)}; it is "kernel", "vhost-device-vsock" or not set`);
  }
  // Where guests are emulated the machine is itself a VM as a rule, and its VSOCK may lead elsewhere.
  return machine.deviceOpens && machine.isRoot && machine.accelerator === 'kvm';
}

/** The same for the machine that this runs on. Throws invalid_request. */
export async function usesKernelVsock(override: string | undefined, accelerator: Accelerator): Promise<boolean> {
  const deviceOpens = await open('/dev/vhost-vsock', 'r+').then((file) => file.close().then(() => true), () => false);
  return chooseKernelVsock(override, { deviceOpens, isRoot: process.geteuid?.() === 0, accelerator });
}
