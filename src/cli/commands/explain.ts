import type { Command } from 'commander';
import { fail, throwIfAny } from '../../errors/slicer-error.ts';
import type { SecretName } from '../../secret/name.ts';
import type { Context } from '../context.ts';
import { groupSubject, runSubject } from '../delivery-subject.ts';
import { loadRunSubject, type InstanceFlags } from '../instance-options.ts';
import { secretName } from '../option-values.ts';
import { printJson, warn } from '../output.ts';
import { printPlan } from '../plan-output.ts';
import { addVarsFlags } from '../vars-flags.ts';

interface Flags extends InstanceFlags {
  readonly config: string;
  readonly json?: true;
}

const EXAMPLES = `
Shows which channel carries each secret to a VM, in which form, and how full the boot channel is:
what a launch without flags would deliver. VM is a host group, or the file of slicer run: a name
that ends in .yaml, .yml or .json, or has a slash. With --inventory it is an instance. Never a
value. Needs no daemon.

Examples:
  $ slicer explain web
  $ slicer explain web db-password --config=/etc/slicer.yaml
  $ slicer explain ./db.yaml
  $ slicer explain web/my-host --inventory=inventory.nix
  $ slicer explain web --json`;

/** No host group has such a name. */
const IS_FILE = /\/|\.(ya?ml|json)$/;

export function configure(command: Command, context: Context): void {
  command.argument('<vm>', 'the host group, a file, or an instance of the inventory').argument('[secret]', 'only this secret', secretName);
  addVarsFlags(command)
    .option('--config <path>', 'the configuration', 'slicer.yaml')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (vm: string, secret: SecretName | undefined, { config, json, ...flags }: Flags) => {
      const { inventory } = flags;
      const subject = inventory !== undefined || IS_FILE.test(vm)
        ? await runSubject(await loadRunSubject(vm, flags, context), context.env) : groupSubject(vm, config);
      const { kind, name, label, vmm: { hypervisor, machine }, plan } = subject;
      const deliveries = plan.deliveries.filter((delivery) => secret === undefined || delivery.secret === secret);
      if (secret !== undefined && deliveries.length === 0) {
        throwIfAny(plan.problems);
        throw fail('secret_not_found', `${label} delivers no secret "${secret}"`, `slicer explain ${vm}${inventory === undefined ? '' : ` --inventory=${inventory}`}`);
      }
      for (const fact of [...subject.warnings, ...plan.warnings]) warn(context, fact);
      if (json) {
        const { bootChannel = null, budgets, problems } = plan;
        printJson(context, {
          [kind]: name, hypervisor, ...(hypervisor === 'qemu' ? { machine } : {}), bootChannel, deliveries, budgets, problems,
        });
      } else {
        printPlan(context, subject, deliveries);
      }
      throwIfAny(plan.problems);
    });
}
