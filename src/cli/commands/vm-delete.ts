import type { Command } from 'commander';
import { type Problem, SlicerError, throwIfAny } from '../../errors/slicer-error.ts';
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
      const problems: Problem[] = [];
      for (const name of names) {
        try {
          await client.deleteNode(name);
          say(context, `vm ${name} deleted`);
        } catch (error) {
          // One that is not there keeps no other alive; where no daemon answers the next one fails alike.
          if (!(error instanceof SlicerError) || error.code !== 'vm_not_found') throw error;
          problems.push(...error.problems);
        }
      }
      throwIfAny(problems);
    });
}
