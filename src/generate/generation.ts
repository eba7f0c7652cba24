// Carries a plan out: asks all that is to be typed first, then makes one generator after the other, and puts
// the values of each in their place at once. A generator that fails leaves what it had, and ends the run; what
// was made before stays.
import type { Prompt } from '../config/generators.ts';
import { SHARED } from '../config/var-path.ts';
import { fail, SlicerError, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { makeValues, type MakeHost } from './make.ts';
import { dependenciesOf, taskText, type PlannedTask, type Task } from './plan.ts';
import type { NewFile, VarsDirectory } from './vars-directory.ts';

/** Asks a person; undefined where there is nobody to ask. */
export type Ask = ((task: Task, prompt: Prompt) => Promise<Secret>) | undefined;

export interface GenerationHost extends MakeHost {
  readonly ask: Ask;
  readonly vars: VarsDirectory;
  /** Told of each generator whose values are in their place. */
  readonly made: (task: PlannedTask) => void;
}

/** `all`: every task of the inventory. Throws prompt_unanswered before anything is made; then what making and writing do. */
export async function generate(tasks: readonly PlannedTask[], all: readonly Task[], host: GenerationHost): Promise<void> {
  const answers = await askAll(tasks, host.ask);
  for (const task of tasks) {
    if (host.signal?.aborted === true) throw fail('generate_failed', 'stopped');
    try {
      await generateOne(task, all, answers.get(task) ?? new Map(), host);
    } catch (error) {
      if (!(error instanceof SlicerError)) throw error;
      throw named(error, task);
    }
    host.made(task);
  }
}

async function generateOne(task: PlannedTask, all: readonly Task[], prompts: ReadonlyMap<string, Secret>, host: GenerationHost): Promise<void> {
  const { machine, generator, replaces } = task;
  const dependencies = new Map(dependenciesOf(task, all).map((dependency) => [dependency.generator.name, readAll(dependency, host.vars)]));
  const subject = machine === SHARED ? generator.name : machine;
  const made = await makeValues({ generator, subject, dependencies, prompts }, host);
  const isAdded = !replaces && task.files.length < generator.files.length;
  const files = generator.files.map(({ name, secret }): NewFile => {
    const value = task.files.includes(name) ? made.get(name) : host.vars.read({ machine, generator: generator.name, file: name });
    return { name, secret, value: value as Secret };
  });
  host.vars.write({ machine, generator: generator.name }, files, replaces || isAdded);
}

function readAll({ machine, generator }: Task, vars: VarsDirectory): ReadonlyMap<string, Secret> {
  return new Map(generator.files.map(({ name }) => [name, vars.read({ machine, generator: generator.name, file: name })]));
}

async function askAll(tasks: readonly PlannedTask[], ask: Ask): Promise<ReadonlyMap<Task, ReadonlyMap<string, Secret>>> {
  const questions = tasks.flatMap((task) => questionsOf(task).map((prompt) => ({ task, prompt })));
  const answers = new Map<Task, Map<string, Secret>>();
  if (ask === undefined) {
    throwIfAny(questions.map(unanswered));
    return answers;
  }
  for (const { task, prompt } of questions) {
    const ofTask = answers.get(task) ?? new Map<string, Secret>();
    answers.set(task, ofTask.set(prompt.name, await ask(task, prompt)));
  }
  return answers;
}

/** Where what is typed is itself the value, those that are there are not asked for again. */
const questionsOf = ({ generator: { recipe, prompts }, files }: PlannedTask): readonly Prompt[] =>
  (recipe.kind === 'prompt' ? prompts.filter(({ name }) => files.includes(name)) : prompts);

function unanswered({ task, prompt }: { readonly task: Task; readonly prompt: Prompt }): Problem {
  const place = `${task.machine === SHARED ? 'MACHINE' : task.machine} ${task.generator.name}/${prompt.name}`;
  return {
    code: 'prompt_unanswered',
    message: `${taskText(task)} asks for "${prompt.name}", and there is no terminal to ask at`,
    hint: task.generator.recipe.kind === 'prompt' ? `run it at a terminal, or give it with: slicer vars set ${place}` : 'run it at a terminal',
  };
}

/** Whose problem it is stands before the problem. */
function named(error: SlicerError, task: Task): SlicerError {
  const [first, ...rest] = error.problems.map((problem): Problem => ({ ...problem, message: `${taskText(task)}: ${problem.message}` }));
  return new SlicerError([first as Problem, ...rest]);
}
