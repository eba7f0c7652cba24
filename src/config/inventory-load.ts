// Reads the VMs of an inventory. Guarantees: what it returns needs no further check of the file, and when it
// refuses, it names every problem at once, each with its place. What the machine must have besides is looked
// at when a VM starts.
import { resolve } from 'node:path';
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { parseSecretName } from '../secret/name.ts';
import { entriesOf, type Issue } from './document.ts';
import { readGenerators } from './generators-load.ts';
import { clashes, type PlacedVm } from './inventory-clashes.ts';
import { loadInventoryDocument, parseInventoryDocument, type InventoryDocument, type InventoryFile } from './inventory-document.ts';
import { describeUnknownInventoryKey, inventorySchema, machinesOf, PART_NAME_RULE, type MachinePlace } from './inventory-schema.ts';
import { readSettings } from './inventory-settings.ts';
import type { Inventory } from './inventory.ts';
import { issuesOf } from './problems.ts';
import { resolveRunFile } from './run-file-resolve.ts';
import { DEFAULT_VARS_DIR } from './var-path.ts';

export interface InventorySource extends InventoryFile {
  /** Where values that are generated are kept: `DEFAULT_VARS_DIR` below the directory when absent. */
  readonly varsDir?: string;
}

export interface InventoryReading {
  readonly problems: readonly Problem[];
  /** With problems: the VMs that are right by themselves. */
  readonly inventory: Inventory;
}

/**
 * Throws not_found where there is no such file, missing_part for Nix where there is none, and invalid_config for
 * what can't be read. `env` is for Nix: its PATH, HOME and NIX_PATH.
 */
export async function readInventory(source: InventorySource, env: Readonly<Record<string, string | undefined>>): Promise<InventoryReading> {
  return readInventoryDocument(await loadInventoryDocument(source, env), source);
}

/** The same of an inventory without problems. Throws all that there are. */
export async function loadInventory(source: InventorySource, env: Readonly<Record<string, string | undefined>>): Promise<Inventory> {
  return withoutProblems(await readInventory(source, env));
}

/** YAML or JSON. Throws invalid_config. */
export const parseInventory = (text: string, source: InventorySource): Inventory =>
  withoutProblems(readInventoryDocument(parseInventoryDocument(text, source.file), source));

function withoutProblems({ problems, inventory }: InventoryReading): Inventory {
  throwIfAny(problems);
  return inventory;
}

/** The inventory as data, whatever it was written in. */
export function readInventoryDocument({ data, problems }: InventoryDocument, source: InventorySource): InventoryReading {
  const { directory } = source;
  const varsDir = resolve(directory, source.varsDir ?? DEFAULT_VARS_DIR);
  const vars = `slicer vars --inventory ${source.file}${source.varsDir === undefined ? '' : ` --vars-dir ${source.varsDir}`}`;
  const parsed = inventorySchema.safeParse(data);
  const machines = machinesOf(data);
  const declared = readGenerators(data);
  const generators = new Map(Object.keys(entriesOf(entriesOf(data)['generators'])).map((name) =>
    [name, declared.generators.find((generator) => generator.name === name)]));
  const issues: Issue[] = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknownInventoryKey))),
    ...nameIssues(machines),
    ...declared.issues,
  ];
  const vms = machines.flatMap((place): PlacedVm[] => {
    const { instance, machine, value } = place;
    const key = 'config' in value && !('settings' in value) ? 'config' : 'settings';
    const path = [...place.path, key];
    if ('config' in value && 'settings' in value) issues.push({ path: [...place.path, 'config'], at: 'key', message: 'expected one of settings, config, got settings too' });
    const isAlone = machines.filter((other) => other.instance === instance).length === 1;
    const read = readSettings(value[key], { instance, machine, vmName: isAlone ? instance : `${instance}-${machine}`, varsDir, generators });
    issues.push(...read.issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })));
    if (read.raw === undefined) return [];
    const run = resolveRunFile(read.raw, directory);
    const remedy = `${vars} generate ${machine}`;
    const made = new Map(read.values.map(({ secret, isPublic }) => [secret, { remedy, ...(isPublic ? { isPublic } : {}) }]));
    const secrets = run.secrets.map((secret) => ({ ...secret, ...made.get(secret.wish.secret) }));
    const generated = read.values.map(({ secret, value: name }) => ({ secret, value: name }));
    return [{ path, vm: { name: isAlone ? instance : `${instance}/${machine}`, instance, machine, run: { ...run, secrets }, generated } }];
  });
  return { problems: problems([...issues, ...clashes(vms)]), inventory: { vms: vms.map(({ vm }) => vm) } };
}

/** Names are those of directories below vars/, and a machine has one VM of an instance. */
function nameIssues(machines: readonly MachinePlace[]): Issue[] {
  const message = `expected a name: ${PART_NAME_RULE}`;
  const badInstances = new Set(machines.map(({ instance }) => instance).filter((name) => parseSecretName(name) === undefined));
  return [
    ...[...badInstances].map((name): Issue => ({ path: ['instances', name], at: 'key', message })),
    ...machines.filter(({ machine }) => parseSecretName(machine) === undefined).map(({ path }): Issue => ({ path, at: 'key', message })),
    ...machines.flatMap(({ instance, machine, role, path }): Issue[] => {
      const first = machines.find((other) => other.instance === instance && other.machine === machine);
      return first === undefined || first.role === role ? []
        : [{ path, at: 'key', message: `expected each machine once in an instance, got this one in role "${first.role}" too` }];
    }),
  ];
}
