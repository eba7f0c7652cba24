// Decides what is to be made, and in which order: a generator after all that it depends on. Pure.
import type { Generator, VarsInventory } from '../config/generators.ts';
import { SHARED } from '../config/var-path.ts';
import { fail, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { makesEachFileAlone } from './make.ts';

/** A generator on a machine, or one that all share. */
export interface Task {
  /** `SHARED` where machines share it. */
  readonly machine: string;
  readonly generator: Generator;
}

export interface PlannedTask extends Task {
  /** The files that are to be made; all of them unless they are made one by one. */
  readonly files: readonly string[];
  /** Whether values that are there go. */
  readonly replaces: boolean;
}

export interface GenerationRequest {
  /** Empty: all. */
  readonly machines: readonly string[];
  /** Undefined: all. */
  readonly generator: string | undefined;
  readonly regenerate: boolean;
}

export interface GenerationPlan {
  readonly tasks: readonly PlannedTask[];
  /** Values that stay, though what they were made from is made now. */
  readonly stale: readonly { readonly task: Task; readonly dependency: string }[];
}

/** The names of the files that a generator has on a machine. */
export type Presence = (task: Task) => readonly string[];

/** Every generator on every machine, those that machines share first. */
export function allTasks({ shared, machines }: VarsInventory): Task[] {
  return [
    ...shared.map((generator) => ({ machine: SHARED, generator })),
    ...machines.flatMap(({ name, generators }) => generators.map((generator) => ({ machine: name, generator }))),
  ];
}

/** How messages call it. */
export const taskText = ({ machine, generator }: Task): string =>
  (machine === SHARED ? `generator "${generator.name}"` : `generator "${generator.name}" of machine "${machine}"`);

/**
 * With `regenerate` what was asked for is made again, and all that depends on it: a certificate is worth
 * nothing without the CA that signed it. Without it only what is missing is made, and what that needs.
 * Throws value_not_found for a name that is none, and value_exists where only some files of a generator are
 * there and the others can't be made without them.
 */
export function planGeneration(inventory: VarsInventory, request: GenerationRequest, presence: Presence): GenerationPlan {
  const all = allTasks(inventory);
  checkNames(inventory, all, request);
  const asked = all.filter(({ machine, generator }) =>
    (request.machines.length === 0 || machine === SHARED || request.machines.includes(machine))
    && (request.generator === undefined || generator.name === request.generator));
  const wanted = new Set(request.regenerate ? [...asked, ...dependentsOf(asked, all)] : asked);
  const again: ReadonlySet<Task> = request.regenerate ? new Set(wanted) : new Set();

  const planned = new Map<Task, PlannedTask>();
  const problems: Problem[] = [];
  const visit = (task: Task): void => {
    if (planned.has(task)) return;
    const there = presence(task);
    const missing = task.generator.files.map(({ name }) => name).filter((name) => !there.includes(name));
    const isAgain = again.has(task);
    if (!isAgain && missing.length === 0) return;
    for (const dependency of dependenciesOf(task, all)) visit(dependency);
    const isPart = !isAgain && missing.length < task.generator.files.length && !makesEachFileAlone(task.generator);
    if (isPart) problems.push(halfThere(task, missing));
    const files = isAgain ? task.generator.files.map(({ name }) => name) : missing;
    planned.set(task, { ...task, files, replaces: isAgain });
  };
  for (const task of all) if (wanted.has(task)) visit(task);
  throwIfAny(problems);

  const stale = all.filter((task) => !planned.has(task) && presence(task).length > 0).flatMap((task) =>
    dependenciesOf(task, all).filter((dependency) => planned.has(dependency)).map(({ generator }) => ({ task, dependency: generator.name })));
  return { tasks: [...planned.values()], stale };
}

/** What a task is made from: of the same machine, or shared. */
export function dependenciesOf({ machine, generator }: Task, all: readonly Task[]): Task[] {
  return generator.dependencies.flatMap((name) =>
    all.filter((task) => task.generator.name === name && (task.machine === machine || task.machine === SHARED)));
}

function dependentsOf(tasks: readonly Task[], all: readonly Task[]): Task[] {
  const found = new Set(tasks);
  // Each of a Set's later members is visited too.
  for (const task of found) {
    for (const other of all) if (dependenciesOf(other, all).includes(task)) found.add(other);
  }
  return [...found];
}

function checkNames({ machines }: VarsInventory, all: readonly Task[], request: GenerationRequest): void {
  const names = machines.map(({ name }) => name);
  throwIfAny(request.machines.filter((name) => !names.includes(name)).map((name): Problem => noMachine(name, names)));
  const generators = [...new Set(all.map(({ generator }) => generator.name))];
  if (request.generator !== undefined && !generators.includes(request.generator)) {
    throw fail('value_not_found', `the inventory has no generator "${request.generator.slice(0, 64)}"`, generators.length === 0 ? undefined : `it has ${generators.join(', ')}`);
  }
}

/** The inventory has no machine of that name. */
export function noMachine(name: string, known: readonly string[]): Problem {
  const message = `the inventory has no machine "${name.slice(0, 64)}"`;
  return { code: 'value_not_found', message, ...(known.length === 0 ? {} : { hint: `it has ${known.join(', ')}` }) };
}

function halfThere(task: Task, missing: readonly string[]): Problem {
  return {
    code: 'value_exists',
    message: `${taskText(task)} has some of its files, and not ${missing.join(', ')}`,
    hint: `give them with: slicer vars set ${task.machine === SHARED ? 'MACHINE' : task.machine} ${task.generator.name}/${missing[0]}; or make all of them again with --regenerate`,
  };
}
