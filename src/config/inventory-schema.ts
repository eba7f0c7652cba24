// The shape of an inventory, down to the settings of a machine, which are those of a file for `slicer run`
// (inventory-settings.ts).
import * as z from 'zod';
import { SECRET_NAME_RULE } from '../secret/name.ts';
import { entriesOf, type Path } from './document.ts';
import { describeKey, type KeyTable } from './run-file-schema.ts';
import { expected } from './values.ts';

/** The name that clan's inventory has for what is here; `slicer` is that of Slicer's own clan module. */
const MODULES = ['microvm', 'slicer'] as const;

/** A key whose lines below are all commented out has the value null: as good as absent. */
const orAbsent = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();

const inventoryModule = z.strictObject({
  name: z.enum(MODULES, expected(`one of ${MODULES.join(', ')}`)).optional(),
  input: z.string(expected('the name of a flake input')).nullish(),
}, expected('a map with name'));

const machine = z.strictObject({ settings: z.unknown().optional(), config: z.unknown().optional() }, expected('a map with settings'));
const role = z.strictObject({ machines: z.record(z.string(), orAbsent(machine), expected('a map of machines by their names')) }, expected('a map with machines'));
const instance = z.strictObject({
  module: orAbsent(inventoryModule),
  roles: z.record(z.string(), role, expected('a map of roles by their names')),
}, expected('a map with roles'));

export const inventorySchema = z.strictObject({
  instances: orAbsent(z.record(z.string(), instance, expected('a map of instances by their names'))),
  /** See generators-load.ts. */
  generators: z.unknown().optional(),
}, expected('a map with instances'));

/** Of instances, machines and generators, which are names of directories. */
export const PART_NAME_RULE = SECRET_NAME_RULE;

const OF_CLAN = 'is a key of clan that this version does not support; name the machines';
const TOP: KeyTable = {
  place: 'an inventory', keys: Object.keys(inventorySchema.shape),
  elsewhere: { config: 'is the key of slicer.yaml, which `slicer up` takes; this is an inventory', machines: OF_CLAN },
};
const INSTANCE: KeyTable = { place: 'an instance', keys: Object.keys(instance.shape) };
const MODULE: KeyTable = { place: 'module', keys: Object.keys(inventoryModule.shape) };
const ROLE: KeyTable = { place: 'a role', keys: Object.keys(role.shape), elsewhere: { tags: OF_CLAN, settings: 'is for each machine: machines.MACHINE.settings', extraModules: OF_CLAN } };
const MACHINE: KeyTable = { place: 'a machine', keys: Object.keys(machine.shape) };

/** What to say of a key in the map at `path` that is none of its keys. */
export function describeUnknownInventoryKey(key: string, path: Path): string {
  return describeKey(key, tableOf(path));
}

function tableOf(path: Path): KeyTable {
  if (path.length === 0) return TOP;
  if (path.length === 2) return INSTANCE;
  if (path[2] === 'module') return MODULE;
  return path.length === 4 ? ROLE : MACHINE;
}

/** The place of one machine in an inventory, whatever the schema says of it. */
export interface MachinePlace {
  readonly instance: string;
  readonly role: string;
  readonly machine: string;
  readonly path: Path;
  readonly value: Readonly<Record<string, unknown>>;
}

/** In the order of the file. */
export function machinesOf(data: unknown): readonly MachinePlace[] {
  return Object.entries(entriesOf(entriesOf(data)['instances'])).flatMap(([instanceName, instanceValue]) =>
    Object.entries(entriesOf(entriesOf(instanceValue)['roles'])).flatMap(([roleName, roleValue]) =>
      Object.entries(entriesOf(entriesOf(roleValue)['machines'])).map(([machineName, value]) => ({
        instance: instanceName, role: roleName, machine: machineName, value: entriesOf(value),
        path: ['instances', instanceName, 'roles', roleName, 'machines', machineName],
      }))));
}
