// From a run file, and what was found for it on this machine, to what a VMM is told. Pure.
import type { RunFile } from '../config/run-file.ts';
import type { BootItem } from '../delivery/boot-items.ts';
import type { Accelerator, NetworkInterface, VmSockets, VmSpec, Volume, VsockDevice } from '../vmm/contract.ts';
import { bootSlotOf } from '../vmm/drivers.ts';
import { chooseKernel } from '../vmm/kernel-choice.ts';

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

export function specOf(file: RunFile, { boot, items, tscKhz, ...parts }: SpecParts): VmSpec {
  const disks: Volume[] = boot.disks.map((path) => ({ path, readOnly: true }));
  return {
    name: file.name,
    cpus: file.cpus,
    ramBytes: file.ramBytes,
    kernel: chooseKernel(file.vmm, file.ramBytes, items, boot),
    ...(boot.initrd === undefined ? {} : { initrd: boot.initrd }),
    cmdline: `slicer.hostname=${file.name} ${boot.cmdline}`,
    volumes: [...disks, ...file.volumes.map(({ path, readOnly }) => ({ path, readOnly }))],
    shares: file.shares,
    ...(file.balloon === undefined ? {} : { balloon: file.balloon }),
    watchdog: file.watchdog,
    ...(tscKhz === undefined ? {} : { tscKhz }),
    bootSlots: items.map(bootSlotOf),
    ...parts,
  };
}
