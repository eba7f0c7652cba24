// A plan as a person reads it: what goes over which channel, and how full the boot channel is. Never a value.
import type { Budgets } from '../delivery/budgets.ts';
import { vmmTitle } from '../delivery/hypervisor.ts';
import type { Delivery } from '../delivery/plan.ts';
import type { Context } from './context.ts';
import type { DeliverySubject } from './delivery-subject.ts';
import { printLine, printTable } from './output.ts';

const BUDGETS: readonly (readonly [keyof Budgets, string])[] = [
  ['strings', 'OEM strings'], ['files', 'fw_cfg files'], ['tableBytes', 'table bytes'], ['requestBytes', 'request bytes'],
  ['credentialBytes', 'credential bytes'],
];
const BUDGET_WIDTH = Math.max(...BUDGETS.map(([, title]) => title.length)) + 2;
const TITLES = ['SECRET', 'SIZE', 'CHANNEL', 'FORM', 'IN THE GUEST', 'TABLE'];

/** `deliveries`: those of the plan that are to be shown. */
export function printPlan(context: Context, { label, vmm, plan }: DeliverySubject, deliveries: readonly Delivery[] = plan.deliveries): void {
  printLine(context, `${label} on ${vmmTitle(vmm)}`);
  if (deliveries.length > 0) printTable(context, TITLES.map((title) => ({ title })), deliveries.map(rowOf));
  printLine(context, '');
  if (plan.bootChannel === undefined) return printLine(context, 'no boot channel');
  printLine(context, "boot channel, with Slicer's own credentials:");
  for (const [key, title] of BUDGETS) {
    const budget = plan.budgets[key];
    if (budget !== undefined) printLine(context, `  ${title.padEnd(BUDGET_WIDTH)}${budget.used} of ${budget.limit}`);
  }
}

function rowOf(delivery: Delivery): string[] {
  const { secret, sizeBytes, channel } = delivery;
  const known = [secret, sizeBytes === undefined ? '' : String(sizeBytes), channel];
  switch (delivery.form) {
    case 'oem-string': return [...known, 'OEM string', `credential ${delivery.credential}`, String(delivery.tableBytes ?? '')];
    case 'fw-cfg': return [...known, 'fw_cfg', `credential ${delivery.credential}`, ''];
    case 'credential': return [...known, 'credential', `/run/credstore/${delivery.credential}`, ''];
    case 'file': return [...known, 'file', `/run/slicer/secrets/${secret}`, ''];
  }
}
