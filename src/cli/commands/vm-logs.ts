import type { Command } from 'commander';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { wholeNumber } from '../option-values.ts';
import { printJson } from '../output.ts';
import { escapeLines } from '../terminal-text.ts';

interface Flags {
  readonly lines: number;
  readonly raw?: true;
  readonly json?: true;
}

const EXAMPLES = `
Control characters are shown as \\x1b and the like, so that a guest cannot steer the terminal.

Examples:
  $ slicer vm logs web-1
  $ slicer vm logs web-1 --lines=0 --raw > console.log`;

export function configure(command: Command, context: Context): void {
  command
    .argument('<name>', 'the VM')
    .option('--lines <n>', 'how many of the last lines; 0 for all that is kept', wholeNumber('--lines', 0, 1_000_000), 20)
    .option('--raw', 'write what the guest wrote')
    .option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, { lines, raw, json }: Flags) => {
      const logs = await clientFor(command, context).vmLogs(name, lines);
      if (json) return printJson(context, logs);
      const text = raw ? logs.content : escapeLines(logs.content);
      context.stdout.write(raw || text === '' || text.endsWith('\n') ? text : `${text}\n`);
    });
}
