import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import type { Budget, Delivery, DeliveryPlan } from '../../delivery/plan.ts';
import { fail, throwIfAny } from '../../errors/slicer-error.ts';
import type { SecretName } from '../../secret/name.ts';
import type { Context } from '../context.ts';
import { planGroup, storeOf } from '../delivery-check.ts';
import { secretName } from '../option-values.ts';
import { printJson, printLine, printTable, warn } from '../output.ts';

interface Flags {
  readonly config: string;
  readonly json?: true;
}

const EXAMPLES = `
Shows which channel carries each secret to a VM of GROUP, in which form, and how full the boot
channel is: what a launch without flags would deliver. Never a value. Needs no daemon.

Examples:
  $ slicer explain web
  $ slicer explain web db-password --config=/etc/slicer.yaml
  $ slicer explain web --json`;

export function configure(command: Command, context: Context): void {
  command
    .argument('<group>', 'the host group')
    .argument('[secret]', 'only this secret', secretName)
    .option('--config <path>', 'the configuration', 'slicer.yaml')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action((name: string, secret: SecretName | undefined, { config: file, json }: Flags) => {
      const config = loadConfig(file);
      const group = config.hostGroups.find((candidate) => candidate.name === name);
      if (group === undefined) {
        throw fail('group_not_found', `${file} has no host group ${JSON.stringify(name.slice(0, 64))}`,
          `it has ${config.hostGroups.map((known) => known.name).join(', ')}`);
      }
      const store = storeOf(config);
      const plan = planGroup(group, store);
      const deliveries = plan.deliveries.filter((delivery) => secret === undefined || delivery.secret === secret);
      if (secret !== undefined && deliveries.length === 0) {
        throw fail('secret_not_found', `host group "${name}" delivers no secret "${secret}"`, `slicer explain ${name}`);
      }
      for (const fact of [...store.warnings, ...plan.warnings]) warn(context, fact);
      if (json) printJson(context, { group: name, deliveries, budgets: plan.budgets, problems: plan.problems });
      else print(context, deliveries, plan.budgets);
      throwIfAny(plan.problems);
    });
}

function print(context: Context, deliveries: readonly Delivery[], { strings, tableBytes, credentialBytes }: DeliveryPlan['budgets']): void {
  printTable(context, ['SECRET', 'SIZE', 'CHANNEL', 'FORM', 'IN THE GUEST', 'TABLE'].map((title) => ({ title })), deliveries.map(rowOf));
  const usage = ({ used, limit }: Budget): string => `${used} of ${limit}`;
  printLine(context, '');
  printLine(context, 'boot channel, with the boot token:');
  printLine(context, `  OEM strings       ${usage(strings)}`);
  printLine(context, `  table bytes       ${usage(tableBytes)}`);
  printLine(context, `  credential bytes  ${usage(credentialBytes)}`);
}

function rowOf(delivery: Delivery): string[] {
  const size = delivery.sizeBytes === undefined ? '' : String(delivery.sizeBytes);
  if (delivery.channel === 'live') return [delivery.secret, size, 'live', 'file', `/run/slicer/secrets/${delivery.secret}`, ''];
  const table = delivery.tableBytes === undefined ? '' : String(delivery.tableBytes);
  return [delivery.secret, size, 'boot', 'OEM string', `credential ${delivery.credential}`, table];
}
