import type { Command } from 'commander';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { addWaitOptions, reportChange, type WaitFlags, waitMsOf } from '../delivery-report.ts';
import { secretName } from '../option-values.ts';

const EXAMPLES = `
The secret is removed from the store and from every running VM.

Examples:
  $ slicer secret remove my-secret
  $ slicer secret remove my-secret --wait=30s`;

export function configure(command: Command, context: Context): void {
  command.argument('<name>', 'the secret', secretName);
  addWaitOptions(command, undefined);
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, flags: WaitFlags) => {
      const { delivery } = await clientFor(command, context).removeSecret(name, waitMsOf(flags, undefined));
      reportChange(context, { fact: `secret ${name} removed`, effect: 'have removed it' }, delivery);
    });
}
