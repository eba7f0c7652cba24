// What is there of what an inventory declares. Reads no value but certificates, for when they end.
import { X509Certificate } from 'node:crypto';
import type { VarsInventory } from '../config/generators.ts';
import type { Problem } from '../errors/slicer-error.ts';
import { allTasks, taskText, type Task } from './plan.ts';
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
    const found = vars.list(placeOf(task));
    return task.generator.files.map(({ name: file, secret }): VarState => {
      const there = found.find(({ name }) => name === file);
      if (there === undefined) return { task, file, secret, state: 'missing' };
      const problem = there.problem ?? (secret && there.isPublic ? 'is open to all readers, and was declared secret since it was made' : undefined);
      return problem === undefined ? { task, file, secret, state: 'made' } : { task, file, secret, state: 'damaged', problem };
    });
  });
}

/** Everything that is missing or not as it must be. */
export function varProblems(inventory: VarsInventory, vars: VarsDirectory, nowMs: number): Problem[] {
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
  const ended = certificateEnds(inventory, vars).filter(({ endMs }) => endMs <= nowMs).map(({ task, endMs }): Problem => ({
    code: 'value_expired', message: `the certificate of ${taskText(task)} ended on ${dateOf(endMs)}`, hint: REMEDY,
  }));
  return [...states, ...undeclared, ...ended];
}

/** Certificates that end within 30 days, each in a sentence. */
export function endingCertificates(inventory: VarsInventory, vars: VarsDirectory, nowMs: number): string[] {
  return certificateEnds(inventory, vars).filter(({ endMs }) => endMs > nowMs && endMs <= nowMs + SOON_MS)
    .map(({ task, endMs }) => `the certificate of ${taskText(task)} ends on ${dateOf(endMs)}; ${REMEDY}`);
}

const SOON_MS = 30 * 24 * 60 * 60 * 1000;
const REMEDY = 'make it again with --regenerate';

/** Of those that are there and can be read as such: a certificate is public, and no value. */
function certificateEnds(inventory: VarsInventory, vars: VarsDirectory): { readonly task: Task; readonly endMs: number }[] {
  return varStates(inventory, vars).flatMap(({ task, file, state }) => {
    if (task.generator.recipe.kind !== 'x509' || file !== 'cert.pem' || state !== 'made') return [];
    try {
      const { validTo } = new X509Certificate(vars.read({ ...placeOf(task), file }).reveal());
      return [{ task, endMs: Date.parse(validTo) }];
    } catch {
      // Somebody set another thing in its place.
      return [];
    }
  });
}

const dateOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export const placeOf = ({ machine, generator }: Task): { machine: string; generator: string } => ({ machine, generator: generator.name });

/** The declared files of a task that are there in whatever state. */
export const presentFiles = (task: Task, vars: VarsDirectory): string[] => vars.list(placeOf(task)).map(({ name }) => name);
