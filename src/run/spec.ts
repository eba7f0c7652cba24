// From a run file, and what was found for it on this machine, to what a VMM is told. Pure.
import type { RunFile } from '../config/run-file.ts';
import type { BootItem } from '../delivery/boot-items.ts';
import { vmSpec } from '../vm/vm-spec.ts';
import type { Accelerator, NetworkInterface, VmSockets, VmSpec, Volume, VsockDevice } from '../vmm/contract.ts';

/** What the guest boots. */
export interface Boot {
  readonly kernel: string;
  readonly lowInitrdKernel?: string;
  readonly initrd?: string;
  readonly cmdline: string;
  /** Disks that come with an image, before those of the file. */
  readonly disks: readonly string[];
}

export interface SpecParts {
  readonly boot: Boot;
  readonly interfaces: readonly NetworkInterface[];
  readonly accelerator: Accelerator;
  readonly tscKhz: number | undefined;
  readonly guestCid: number;
  readonly vsock: VsockDevice;
  readonly sockets: VmSockets;
  readonly items: readonly BootItem[];
}

export function specOf(file: RunFile, { boot, ...parts }: SpecParts): VmSpec {
  const { name, cpus, ramBytes, vmm, shares, balloon, watchdog } = file;
  const disks: Volume[] = boot.disks.map((path) => ({ path, readOnly: true }));
  const volumes = [...disks, ...file.volumes.map(({ path, readOnly }) => ({ path, readOnly }))];
  // Not all of `parts` at once: a caller may have more in it than a VMM is to be told.
  const { interfaces, accelerator, tscKhz, guestCid, vsock, sockets, items } = parts;
  return vmSpec({ name, cpus, ramBytes, vmm, boot, volumes, shares, balloon, watchdog, interfaces, accelerator, tscKhz, guestCid, vsock, sockets, items });
}
