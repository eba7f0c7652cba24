// --inventory, with which a VM is named by its instance instead of by a file of its own.
import type { Command } from 'commander';
import { loadInventory } from '../config/inventory-load.ts';
import type { Inventory, InventoryVm } from '../config/inventory.ts';
import type { RunFile } from '../config/run-file.ts';
import { loadRunFile } from '../config/run-file-load.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';

export interface InventoryFlag {
  readonly inventory?: string;
}

export function addInventoryOption(command: Command): Command {
  return command.option('--inventory <path>', 'instances that are declared once, as YAML, JSON or Nix');
}

/** The file called `vm`, or the instance of that name. Throws not_found, and what reading either does. */
export async function loadRunSubject(vm: string, inventory: string | undefined, context: Context): Promise<RunFile> {
  if (inventory === undefined) return loadRunFile(vm);
  return findVm(await loadInventory({ file: inventory, directory: process.cwd() }, context.env), vm, inventory).run;
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
