// What the VMs of one daemon take from their surroundings.
import type { GuestArch } from '../delivery/hypervisor.ts';
import type { Secret } from '../secret/secret.ts';
import type { Accelerator } from '../vmm/contract.ts';
import type { VmPrograms } from './programs.ts';
import type { RecordDirectory } from './record-directory.ts';
import type { StartParts } from './start.ts';
import type { VmUsers } from './vm-user.ts';
import type { ProcessPoll } from './watched-process.ts';

/** What all VMs of a daemon share. */
export interface MachineParts extends Omit<StartParts, 'vmm'> {
  readonly programs: VmPrograms;
  readonly accelerator: Accelerator;
  readonly arch: GuestArch;
  /** In kHz; see `VmSpec`. */
  readonly tscKhz: number | undefined;
  readonly records: RecordDirectory;
  readonly poll: ProcessPoll;
  readonly bootId: string;
  readonly uid: number;
  /** Undefined where VMs run as this process's user. */
  readonly users: VmUsers | undefined;
  readonly newBootToken: () => Secret;
  readonly warn: (message: string) => void;
  /** Called after every change. */
  readonly changed: (hostname: string) => void;
  /** Called when the guest's machine was reset. */
  readonly reset: (hostname: string) => void;
}
