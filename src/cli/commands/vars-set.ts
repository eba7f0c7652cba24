import type { Command } from 'commander';
import { fail } from '../../errors/slicer-error.ts';
import { presentFiles } from '../../generate/state.ts';
import { Secret } from '../../secret/secret.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import type { Context } from '../context.ts';
import { addVarsFlags } from '../vars-flags.ts';
import { say } from '../output.ts';
import { valueFromPrompt, valueFromStdin } from '../secret-value.ts';
import { findVar, varsSubject } from '../vars-options.ts';

const EXAMPLES = `
The value is read from standard input, byte for byte; at a terminal it is asked for and not shown.
One that is there is replaced.

Examples:
  $ slicer vars --inventory inventory.yaml set web-1 api/token < token`;

export function configure(command: Command, context: Context): void {
  addVarsFlags(command)
    .argument('<machine>', 'one of the inventory')
    .argument('<value>', 'GENERATOR/FILE')
    .addHelpText('after', EXAMPLES)
    .action(async (machine: string, path: string) => {
      const { inventory, vars, words } = await varsSubject(command, context);
      const { task, name } = findVar(inventory, machine, path);
      await keepProcessPrivate(context.env['PATH'] ?? '');
      const typed = context.stdin.isTTY ? await valueFromPrompt(path, context) : await valueFromStdin(context);
      if (typed.byteLength === 0) throw fail('empty_value', 'standard input is empty: nothing was changed', `${words} set ${machine} ${path} < FILE`);
      const there = presentFiles(task, vars);
      const files = task.generator.files.filter((file) => file.name === name.file || there.includes(file.name));
      vars.write(name, files.map((file) => ({
        ...file, value: file.name === name.file ? new Secret(typed) : vars.read({ ...name, file: file.name }),
      })), there.length > 0);
      say(context, `${path} ${there.includes(name.file) ? 'replaced' : 'set'}`);
      const missing = task.generator.files.filter((file) => !files.includes(file)).map((file) => `${name.generator}/${file.name}`);
      if (missing.length > 0) say(context, `not there yet: ${missing.join(', ')}`);
    });
}
