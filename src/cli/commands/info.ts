import type { Command } from 'commander';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson, printTable } from '../output.ts';

const EXAMPLES = `
Examples:
  $ slicer info
  $ slicer info --url=http://127.0.0.1:8080 --json`;

export function configure(command: Command, context: Context): void {
  command.option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async ({ json }: { json?: true }) => {
      const info = await clientFor(command, context).info();
      if (json) return printJson(context, info);
      printTable(
        context,
        ['VERSION', 'COMMIT', 'PLATFORM', 'ARCH'].map((title) => ({ title })),
        [[info.version, info.git_commit, info.platform, info.arch]],
      );
    });
}
