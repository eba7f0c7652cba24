import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import type { Context } from '../context.ts';
import { say } from '../output.ts';

const EXAMPLES = `
Every problem is told at once, with line and column. Needs no daemon and starts nothing.

Examples:
  $ slicer check slicer.yaml`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[file]', 'the configuration', './slicer.yaml')
    .addHelpText('after', EXAMPLES)
    .action((file: string) => {
      const names = loadConfig(file).hostGroups.map(({ name }) => name);
      say(context, `${file} is valid: ${names.length === 1 ? 'host group' : 'host groups'} ${names.join(', ')}`);
    });
}
