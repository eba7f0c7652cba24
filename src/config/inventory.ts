// An inventory after it was read and checked: VMs that are declared once, for the machines they run on. No
// value of a secret is in it.
import type { SecretName } from '../secret/name.ts';
import type { RunFile } from './run-file.ts';
import type { VarName } from './var-path.ts';

/** An instance on one machine: one VM. */
export interface InventoryVm {
  /** `INSTANCE`, and `INSTANCE/MACHINE` where the instance is on several. */
  readonly name: string;
  readonly instance: string;
  readonly machine: string;
  /** What `slicer run` starts. Where a secret is a generated one, its path leads to it. */
  readonly run: RunFile;
  /** Secrets with `generateSecret`, and where the value of each is kept. */
  readonly generated: readonly { readonly secret: SecretName; readonly value: VarName }[];
}

export interface Inventory {
  /** In the order of the file; names are unique. */
  readonly vms: readonly InventoryVm[];
}
