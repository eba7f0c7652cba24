// What is there of what an inventory declares. Reads no value.
import type { Problem } from '../errors/slicer-error.ts';
import { allTasks, taskText, type Task } from './plan.ts';
import type { VarsInventory } from '../config/generators.ts';
import { varText, type VarsDirectory } from './vars-directory.ts';

export interface VarState {
  readonly task: Task;
  readonly file: string;
  readonly secret: boolean;
  readonly state: 'made' | 'missing' | 'damaged';
  /** What is wrong with a damaged one. */
  readonly problem?: string;
}

/** One entry for every file of every generator, in the order of the inventory. */
export function varStates(inventory: VarsInventory, vars: VarsDirectory): VarState[] {
  return allTasks(inventory).flatMap((task) => {
    const found = new Map(vars.list(placeOf(task)).map(({ name, problem }) => [name, problem]));
    return task.generator.files.map(({ name: file, secret }): VarState => {
      const problem = found.get(file);
      if (!found.has(file)) return { task, file, secret, state: 'missing' };
      return problem === undefined ? { task, file, secret, state: 'made' } : { task, file, secret, state: 'damaged', problem };
    });
  });
}

/** Everything that is missing or not as it must be. */
export function varProblems(inventory: VarsInventory, vars: VarsDirectory): Problem[] {
  const states = varStates(inventory, vars).flatMap(({ task, file, state, problem }): Problem[] => {
    const text = varText({ ...placeOf(task), file });
    if (state === 'missing') return [{ code: 'value_not_found', message: `${text} is not there` }];
    return state === 'damaged' ? [{ code: 'store_not_private', message: `${text} ${problem}` }] : [];
  });
  const undeclared = allTasks(inventory).flatMap((task): Problem[] => {
    const declared = task.generator.files.map(({ name }) => name);
    const count = vars.list(placeOf(task)).filter(({ name }) => !declared.includes(name)).length;
    return count === 0 ? [] : [{ code: 'value_exists', message: `${taskText(task)} has ${count} more ${count === 1 ? 'file' : 'files'} than it declares` }];
  });
  return [...states, ...undeclared];
}

export const placeOf = ({ machine, generator }: Task): { machine: string; generator: string } => ({ machine, generator: generator.name });

/** The declared files of a task that are there in whatever state. */
export const presentFiles = (task: Task, vars: VarsDirectory): string[] => vars.list(placeOf(task)).map(({ name }) => name);
