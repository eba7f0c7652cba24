// The flags of `slicer vars` and what they lead to: an inventory, and the directory of its values.
import type { Command } from 'commander';
import { loadVarsInventory } from '../config/generators-load.ts';
import type { GeneratorFile, VarsInventory } from '../config/generators.ts';
import { DEFAULT_VARS_DIR, type VarName } from '../config/var-path.ts';
import { shellQuote } from '../errors/file-fault.ts';
import { fail, SlicerError, type Problem } from '../errors/slicer-error.ts';
import { allTasks, noMachine, type Task } from '../generate/plan.ts';
import { openVars, type VarsDirectory } from '../generate/vars-directory.ts';
import type { Context } from './context.ts';

export interface VarsFlags {
  readonly inventory?: string;
  readonly varsDir?: string;
}

export interface VarsSubject {
  readonly inventory: VarsInventory;
  readonly vars: VarsDirectory;
  /** `slicer vars` with the flags that lead to the same values, for hints. */
  readonly words: string;
}

/** Throws usage without an inventory, and what reading it and its values does. */
export async function varsSubject(command: Command, { env }: Context): Promise<VarsSubject> {
  const { inventory: file, varsDir = DEFAULT_VARS_DIR } = command.optsWithGlobals<VarsFlags>();
  if (file === undefined) throw fail('usage', 'required option "--inventory <file>" not specified', `slicer vars --inventory FILE ${command.name()}`);
  const inventory = await loadVarsInventory(file, env);
  return { inventory, vars: openVars(varsDir, (process.geteuid as () => number)()), words: wordsOf(file, varsDir) };
}

function wordsOf(file: string, varsDir: string): string {
  return `slicer vars --inventory ${shellQuote(file)}${varsDir === DEFAULT_VARS_DIR ? '' : ` --vars-dir ${shellQuote(varsDir)}`}`;
}

/** The error with these words in its hints, where what makes values knows of no flags. */
export function hintingAt(error: unknown, words: string): unknown {
  if (!(error instanceof SlicerError)) return error;
  const [first, ...rest] = error.problems.map((problem): Problem =>
    (problem.hint === undefined ? problem : { ...problem, hint: problem.hint.replaceAll(/\bslicer vars\b/g, () => words) }));
  return new SlicerError([first as Problem, ...rest]);
}

export interface FoundVar {
  readonly task: Task;
  readonly file: GeneratorFile;
  readonly name: VarName;
}

/** `path`: GENERATOR/FILE. Throws value_not_found for what the inventory does not declare. */
export function findVar(inventory: VarsInventory, machine: string, path: string): FoundVar {
  const machines = inventory.machines.map(({ name }) => name);
  if (!machines.includes(machine)) throw new SlicerError([noMachine(machine, machines)]);
  const [generator, fileName] = path.split('/');
  const tasks = allTasks(inventory).filter((each) => each.machine === machine || each.generator.share);
  const task = tasks.find((each) => each.generator.name === generator);
  const file = task?.generator.files.find(({ name }) => name === fileName);
  if (task === undefined || file === undefined || path.split('/').length !== 2) {
    const known = tasks.flatMap((each) => each.generator.files.map(({ name }) => `${each.generator.name}/${name}`));
    throw fail('value_not_found', `the inventory declares no "${path.slice(0, 128)}" for machine "${machine}"`, known.length === 0 ? undefined : `it has ${known.join(', ')}`);
  }
  return { task, file, name: { machine: task.machine, generator: task.generator.name, file: file.name } };
}
