import type { Command } from 'commander';
import type { Node } from '../../api/nodes.ts';
import { VERSION } from '../../api/version.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson, printTable, say, warn } from '../output.ts';
import { escapeLines } from '../terminal-text.ts';

interface Flags {
  readonly tag?: string;
  readonly tagPrefix?: string;
  readonly json?: true;
}

const EXAMPLES = `
A VM that failed is named on stderr with its last console lines, and so is one whose agent is of
another release: it booted with it, and is served all the same.

Examples:
  $ slicer vm list
  $ slicer vm list web --tag=team=blue
  $ slicer vm list --json | jq -r '.[] | select(.status == "Running") | .hostname'`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[group]', 'only VMs of this host group')
    .option('--tag <tag>', 'only VMs with this tag')
    .option('--tag-prefix <text>', 'only VMs with a tag that begins so')
    .option('--json', 'what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (group: string | undefined, { tag, tagPrefix, json }: Flags) => {
      const nodes = await clientFor(command, context).listNodes({
        ...(group === undefined ? {} : { group }),
        ...(tag === undefined ? {} : { tag }),
        ...(tagPrefix === undefined ? {} : { tagPrefix }),
      });
      if (json) return printJson(context, nodes);
      printTable(
        context,
        ['HOSTNAME', 'IP', 'STATUS', 'GROUP', 'CPUS', 'RAM', 'SECRETS', 'TAGS', 'CREATED'].map((title) => ({ title })),
        nodes.map(rowOf),
      );
      for (const node of nodes) {
        if (node.status === 'Failed') sayFailure(context, node);
        else if (node.agent_version !== undefined && node.agent_version !== VERSION) {
          say(context, `vm ${node.hostname} has the agent of slicer ${node.agent_version}; this is ${VERSION}`);
        }
      }
    });
}

function rowOf(node: Node): string[] {
  return [
    node.hostname,
    node.ip,
    node.status,
    node.attached ? '(attached)' : node.hostgroup,
    node.attached ? '' : String(node.cpus),
    node.attached ? '' : `${node.ram_bytes / (1024 * 1024)}M`,
    node.secrets === 'all' ? 'all' : node.secrets.length === 0 ? 'none' : node.secrets.join(','),
    node.tags.join(','),
    node.created_at,
  ];
}

function sayFailure(context: Context, { hostname, error = 'the reason is not known', console = '' }: Node): void {
  warn(context, `vm ${hostname} failed: ${error}`);
  for (const line of escapeLines(console).split('\n')) if (line !== '') say(context, `  ${hostname}: ${line}`);
}
