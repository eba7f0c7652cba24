import type { Command } from 'commander';
import type { VmSecrets } from '../../api/vm.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson, printTable, warn } from '../output.ts';

const EXAMPLES = `
STATE is current (the newest value is in the VM, since SINCE), pending (it is on its way) or failed
(ERROR says why).

Examples:
  $ slicer vm secrets
  $ slicer vm secrets web-1 --json`;

export function configure(command: Command, context: Context): void {
  command.argument('[name]', 'the VM; all VMs when absent').option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string | undefined, { json }: { json?: true }) => {
      const client = clientFor(command, context);
      const answer = name === undefined ? await client.listNodeSecrets() : await client.vmSecrets(name);
      if (json) return printJson(context, answer);
      const vms = Array.isArray(answer) ? answer : [answer];
      printTable(
        context,
        ['HOSTNAME', 'SECRET', 'STATE', 'SINCE', 'ERROR'].map((title) => ({ title })),
        vms.flatMap(rowsOf),
      );
      for (const vm of vms) sayFaults(context, vm);
    });
}

function rowsOf({ hostname, secrets }: VmSecrets): string[][] {
  return secrets.map(({ name, credential, state, since = '', error }) => [
    hostname, credential === undefined ? name : `${name} (credential ${credential})`, state, since, error === undefined ? '' : `${error.code}: ${error.message}`,
  ]);
}

function sayFaults(context: Context, { hostname, connected, errors }: VmSecrets): void {
  if (!connected) warn(context, `the agent of vm ${hostname} is not connected`);
  for (const { code, message } of errors) warn(context, `vm ${hostname}: ${code}: ${message}`);
}
