import type { Command } from 'commander';
import { throwIfAny } from '../../errors/slicer-error.ts';
import { varProblems } from '../../generate/state.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { printLine } from '../output.ts';
import { varsSubject } from '../vars-options.ts';

const EXAMPLES = `
Reports at once what is missing of the values that the inventory declares, and what is not as it
must be: a link, a file that others may write to, one that nothing declares. Reads no value.

Examples:
  $ slicer vars --inventory inventory.yaml check`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { inventory, vars, words } = await varsSubject(command, context);
      const problems = varProblems(inventory, vars);
      const last = problems.map(({ code }) => code).lastIndexOf('value_not_found');
      throwIfAny(problems.map((problem, index) => (index === last ? { ...problem, hint: `${words} generate` } : problem)));
      printLine(context, 'no value is missing');
    });
}
