import type { Command } from 'commander';
import { fail } from '../../errors/slicer-error.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { findVar, varsSubject } from '../vars-options.ts';

const EXAMPLES = `
Writes the bytes of one value to stdout, exactly, which must not be a terminal.

Examples:
  $ slicer vars --inventory inventory.yaml get web-1 ssh/key.pub | ssh-keygen -lf -
  $ slicer vars --inventory inventory.yaml get web-1 db/password > password`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .argument('<machine>', 'one of the inventory')
    .argument('<value>', 'GENERATOR/FILE')
    .addHelpText('after', EXAMPLES)
    .action(async (machine: string, path: string) => {
      const { inventory, vars, words } = await varsSubject(command, context);
      const { name } = findVar(inventory, machine, path);
      if ((context.stdout as NodeJS.WriteStream).isTTY) {
        throw fail('usage', 'a value is not written to a terminal', `${words} get ${machine} ${path} > FILE`);
      }
      await keepProcessPrivate(context.env['PATH'] ?? '');
      context.stdout.write(vars.read(name).reveal());
    });
}
