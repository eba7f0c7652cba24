import type { Command } from 'commander';
import type { VmHealth } from '../../api/vm.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson, printTable } from '../output.ts';

const EXAMPLES = `
Examples:
  $ slicer vm health web-1
  $ until slicer vm health web-1; do sleep 1; done`;

const NANOSECONDS = 1e9;

export function configure(command: Command, context: Context): void {
  command.argument('<name>', 'the VM').option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, { json }: { json?: true }) => {
      const health = await clientFor(command, context).vmHealth(name);
      if (json) return printJson(context, health);
      printTable(
        context,
        ['HOSTNAME', 'AGENT', 'AGENT UPTIME', 'SYSTEM UPTIME', 'USERDATA'].map((title) => ({ title })),
        [[
          health.hostname,
          health.agent_version,
          `${Math.floor(health.agent_uptime / NANOSECONDS)}s`,
          `${Math.floor(health.system_uptime / NANOSECONDS)}s`,
          userdataText(health),
        ]],
      );
    });
}

function userdataText({ userdata_ran: ran, userdata_exit_code: exitCode }: VmHealth): string {
  if (exitCode !== undefined) return `ran, exit code ${exitCode}`;
  return ran ? 'ran' : 'not run';
}
