import type { Command } from 'commander';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson, printTable, warn } from '../output.ts';

const EXAMPLES = `
Values are never shown. With -v, files of the store that are not served are named on stderr.

Examples:
  $ slicer secret list -v
  $ slicer secret list --json | jq -r '.[].name'`;

export function configure(command: Command, context: Context): void {
  command.option('-v, --verbose', 'size, permissions and owner too').option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async ({ verbose, json }: { verbose?: true; json?: true }) => {
      const client = clientFor(command, context);
      const secrets = await client.listSecrets();
      if (json) printJson(context, secrets);
      else if (!verbose) printTable(context, [{ title: 'NAME' }], secrets.map(({ name }) => [name]));
      else {
        printTable(
          context,
          [{ title: 'NAME', width: 26 }, { title: 'SIZE', width: 11 }, { title: 'PERMISSIONS', width: 13 }, { title: 'UID', width: 9 }, { title: 'GID' }],
          secrets.map(({ name, size, permissions, uid, gid }) => [name, String(size), permissions, String(uid), String(gid)]),
        );
      }
      if (!verbose) return;
      const { skipped, problem } = await client.storeState();
      if (problem !== undefined) warn(context, problem);
      for (const { file, reason } of skipped) warn(context, `"${file}" is not served: ${reason}`);
    });
}
