import type { Command } from 'commander';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { say } from '../output.ts';

const EXAMPLES = `
The VM is asked to power off, then stopped; what it left on the host is removed. A VM that was
attached runs on, and gets no secrets any more.

Examples:
  $ slicer vm delete web-1
  $ slicer vm delete web-1 web-2`;

export function configure(command: Command, context: Context): void {
  command.argument('<names...>', 'the VMs');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (names: string[]) => {
      const client = clientFor(command, context);
      for (const name of names) {
        await client.deleteNode(name);
        say(context, `vm ${name} deleted`);
      }
    });
}
