// What --inventory and --vars-dir (vars-flags.ts) lead to where a VM is named by its instance.
import { hostname } from 'node:os';
import type { InventoryReading } from '../config/inventory-load.ts';
import type { Inventory, InventoryVm } from '../config/inventory.ts';
import type { RunFile } from '../config/run-file.ts';
import { readRunFile } from '../config/run-file-load.ts';
import type { SoundParts } from '../config/sound-parts.ts';
import { fail, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';

export interface InstanceFlags {
  readonly inventory?: string;
  readonly varsDir?: string;
}

/** Throws what `readInventory` does. */
export async function inventoryReading(file: string, { varsDir }: InstanceFlags, context: Context): Promise<InventoryReading> {
  // Who runs a file does not wait for it to load.
  const { readInventory } = await import('../config/inventory-load.ts');
  return readInventory({ file, directory: process.cwd(), ...(varsDir === undefined ? {} : { varsDir }) }, context.env);
}

/** Throws what `loadInventory` does. */
export async function inventoryOf(file: string, flags: InstanceFlags, context: Context): Promise<Inventory> {
  const { problems, inventory } = await inventoryReading(file, flags, context);
  throwIfAny(problems);
  return inventory;
}

/**
 * The file called `vm`, or the instance of that name. Throws not_found, and what reading either does; for a file
 * with faults also what `besides` finds in the parts of it that have none.
 */
export async function loadRunSubject(vm: string, flags: InstanceFlags, context: Context, besides?: (sound: SoundParts) => Promise<readonly Problem[]>): Promise<RunFile> {
  const { inventory } = flags;
  if (inventory !== undefined) return findVm(await inventoryOf(inventory, flags, context), vm, inventory).run;
  const { run, problems, sound } = await readRunFile(vm);
  if (run === undefined) throwIfAny([...problems, ...await besides?.(sound) ?? []]);
  // Without problems it is there.
  return run as RunFile;
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

/** The VMs of the machine called `machine`: this one, by its host name, or the only one there is, unless given. Throws usage. */
export function vmsOfMachine({ vms }: Inventory, machine: string | undefined, file: string): readonly InventoryVm[] {
  const machines = [...new Set(vms.map((vm) => vm.machine))];
  const wanted = machine ?? (machines.length === 1 ? machines[0] : hostname());
  if (wanted === undefined || !machines.includes(wanted)) {
    throw fail('usage', `${file} has no machine ${JSON.stringify(String(wanted).slice(0, 128))}`,
      machines.length === 0 ? undefined : `--machine=NAME, one of ${machines.join(', ')}`);
  }
  return vms.filter((vm) => vm.machine === wanted);
}
