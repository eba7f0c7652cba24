import { dirname } from 'node:path';
import type { Command } from 'commander';
import type { VarsInventory } from '../../config/generators.ts';
import { SHARED } from '../../config/var-path.ts';
import { generate } from '../../generate/generation.ts';
import { allTasks, planGeneration, taskText, type GenerationPlan, type GenerationRequest } from '../../generate/plan.ts';
import { presentFiles } from '../../generate/state.ts';
import type { VarsDirectory } from '../../generate/vars-directory.ts';
import { makePrivate } from '../../vm/private-directory.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import { chooseRuntimeDirectory, memoryDirectories, removeIfEmpty } from '../../vm/runtime-directory.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { say, warn } from '../output.ts';
import { askPrompt } from '../vars-prompt.ts';
import { hintingAt, varsSubject } from '../vars-options.ts';

interface Flags {
  readonly generator?: string;
  readonly regenerate?: boolean;
  readonly showStderr?: boolean;
}

const EXAMPLES = `
Makes the values that are missing, each after those that it is made from, and touches none that is
there. A generator's files are all put in their place, or none. With --regenerate what is asked for
is made again, and all that is made from it; without machines and --generator that is everything.

Examples:
  $ slicer vars --inventory inventory.yaml generate
  $ slicer vars --inventory inventory.yaml generate web-1 --generator=db-password --regenerate`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .argument('[machines...]', 'for these machines alone')
    .option('--generator <name>', 'this generator alone, and what it needs')
    .option('--regenerate', 'make values again that are there')
    .option('--show-stderr', 'let programs of generators write to this terminal; they may write values')
    .addHelpText('after', EXAMPLES)
    .action(async (machines: string[], { generator, regenerate = false, showStderr = false }: Flags) => {
      const { inventory, vars, words } = await varsSubject(command, context);
      const plan = planOf(inventory, { machines, generator, regenerate }, vars, words);
      if (inventory.machines.length === 0) warn(context, 'the inventory has no machine: only generators with share: true have values');
      if (plan.tasks.length === 0) return say(context, 'nothing is missing');
      const path = context.env['PATH'] ?? '';
      await keepProcessPrivate(path);
      const stop = stopOnSignals();
      let scratch: string | undefined;
      try {
        await generate(plan.tasks, allTasks(inventory), {
          vars, path, directory: process.cwd(), showsStderr: showStderr, signal: stop.signal, nowMs: () => Date.now(),
          scratchDirectory: async () => (scratch ??= await findScratchDirectory(context.env)),
          ask: context.stdin.isTTY ? (task, prompt) => askPrompt(task, prompt, context) : undefined,
          made: (task) => say(context, `${taskText(task)}: ${task.replaces ? 'made again' : 'made'} ${task.files.join(', ')}`),
        });
      } catch (error) {
        throw hintingAt(error, words);
      } finally {
        stop.forget();
        // Another's may be in it still, or in the one above.
        if (scratch !== undefined) await removeIfEmpty(scratch);
      }
      for (const { task, dependency } of plan.stale) {
        warn(context, `${taskText(task)} was made from an earlier "${dependency}" and stays; make it again with: ${words} generate ${task.machine === SHARED ? '' : `${task.machine} `}--generator=${task.generator.name} --regenerate`);
      }
    });
}

function planOf(inventory: VarsInventory, request: GenerationRequest, vars: VarsDirectory, words: string): GenerationPlan {
  try {
    return planGeneration(inventory, request, (task) => presentFiles(task, vars));
  } catch (error) {
    throw hintingAt(error, words);
  }
}

async function findScratchDirectory(env: NodeJS.ProcessEnv): Promise<string> {
  const uid = (process.geteuid as () => number)();
  const directory = await chooseRuntimeDirectory('slicer vars', uid, memoryDirectories(env));
  // The one above is also that of VMs, which pass through it where they have users of their own.
  await makePrivate(dirname(directory), uid, uid === 0);
  await makePrivate(directory, uid);
  return directory;
}

/** Ctrl+C ends a generator's program and removes what it worked in. */
function stopOnSignals(): { readonly signal: AbortSignal; readonly forget: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, abort);
  return {
    signal: controller.signal,
    forget: () => {
      for (const signal of signals) process.off(signal, abort);
    },
  };
}
