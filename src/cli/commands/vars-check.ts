import type { Command } from 'commander';
import { throwIfAny } from '../../errors/slicer-error.ts';
import { endingCertificates, varProblems } from '../../generate/state.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { printLine, warn } from '../output.ts';
import { varsSubject } from '../vars-options.ts';

const EXAMPLES = `
Reports at once what is missing of the values that the inventory declares, and what is not as it
must be: a link, a file that others may write to, one that nothing declares, a certificate that has
ended. One that ends within 30 days is a warning.

Examples:
  $ slicer vars --inventory inventory.yaml check`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { inventory, vars, words } = await varsSubject(command, context);
      const nowMs = Date.now();
      for (const fact of endingCertificates(inventory, vars, nowMs)) warn(context, fact);
      const problems = varProblems(inventory, vars, nowMs);
      const last = problems.map(({ code }) => code).lastIndexOf('value_not_found');
      throwIfAny(problems.map((problem, index) => (index === last ? { ...problem, hint: `${words} generate` } : problem)));
      printLine(context, 'no value is missing');
    });
}
