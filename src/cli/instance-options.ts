// What --inventory and --vars-dir (vars-flags.ts) lead to where a VM is named by its instance.
import { resolve } from 'node:path';
import { loadInventory } from '../config/inventory-load.ts';
import type { Inventory, InventoryVm } from '../config/inventory.ts';
import type { RunFile } from '../config/run-file.ts';
import { loadRunFile } from '../config/run-file-load.ts';
import { DEFAULT_VARS_DIR } from '../config/var-path.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';

export interface InstanceFlags {
  readonly inventory?: string;
  readonly varsDir?: string;
}

/** Throws what `loadInventory` does. */
export function inventoryOf(file: string, { varsDir = DEFAULT_VARS_DIR }: InstanceFlags, context: Context): Promise<Inventory> {
  const directory = process.cwd();
  return loadInventory({ file, directory, varsDir: resolve(directory, varsDir) }, context.env);
}

/** The file called `vm`, or the instance of that name. Throws not_found, and what reading either does. */
export async function loadRunSubject(vm: string, flags: InstanceFlags, context: Context): Promise<RunFile> {
  if (flags.inventory === undefined) return loadRunFile(vm);
  return findVm(await inventoryOf(flags.inventory, flags, context), vm, flags.inventory).run;
}

/** By `INSTANCE` where the instance is on one machine, or `INSTANCE/MACHINE`. `file` is how errors name the inventory. */
function findVm({ vms }: Inventory, name: string, file: string): InventoryVm {
  const [found, ...others] = vms.filter((vm) => vm.instance === name || `${vm.instance}/${vm.machine}` === name);
  if (found === undefined) {
    throw fail('not_found', `${file} has no instance ${JSON.stringify(name.slice(0, 128))}`, vms.length === 0 ? undefined : `it has ${vms.map((vm) => vm.name).join(', ')}`);
  }
  if (others.length > 0) throw fail('usage', `instance "${name}" is on ${others.length + 1} machines`, `name one of ${[found, ...others].map((vm) => vm.name).join(', ')}`);
  return found;
}
