import type { Command } from 'commander';
import { SHARED } from '../../config/var-path.ts';
import { varStates } from '../../generate/state.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { printJson, printTable } from '../output.ts';
import { varsSubject } from '../vars-options.ts';

const EXAMPLES = `
What machines share has no machine.

Examples:
  $ slicer vars --inventory inventory.yaml list
  $ slicer vars --inventory inventory.yaml list --json`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async ({ json }: { json?: true }) => {
      const { inventory, vars } = await varsSubject(command, context);
      const rows = varStates(inventory, vars).map(({ task: { machine, generator }, file, secret, state }) => ({
        machine: machine === SHARED ? null : machine, generator: generator.name, file, kind: generator.recipe.kind, secret, state,
      }));
      if (json) return printJson(context, rows);
      printTable(context, ['MACHINE', 'GENERATOR', 'FILE', 'KIND', 'MODE', 'STATE'].map((title) => ({ title })),
        rows.map(({ machine, generator, file, kind, secret, state }) => [machine ?? '', generator, file, kind, secret ? '0400' : '0444', state]));
    });
}
