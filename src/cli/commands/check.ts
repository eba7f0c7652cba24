import type { Command } from 'commander';
import { findGuestImage, IMAGE_NAMES, type ImageName } from '../../../image/guest-images.ts';
import { absentPlaces } from '../../config/absent-places.ts';
import type { InventoryReading } from '../../config/inventory-load.ts';
import { loadConfig } from '../../config/load.ts';
import { isRunFile, readRunFile } from '../../config/run-file-load.ts';
import { fail, SlicerError, throwIfAny } from '../../errors/slicer-error.ts';
import { checkSoundParts } from '../../run/check.ts';
import type { Context } from '../context.ts';
import { inventoryReading, type InstanceFlags } from '../instance-options.ts';
import { groupSubjects, runSubject, type DeliverySubject } from '../delivery-subject.ts';
import { warningText } from '../delivery-check.ts';
import { printJson, printLine, warn } from '../output.ts';
import { printPlan } from '../plan-output.ts';
import { missingVmmPrograms } from '../vmm-programs.ts';
import { addVarsFlags } from '../vars-flags.ts';

const EXAMPLES = `
Reports every problem of a configuration at once, each with line and column, and what the secrets
that are there now would not fit into. A part that a launch would miss, such as a VMM, an image
that is not built or a secret that is not there, is a warning, and so is a directory or a group that
slicer up would miss. Then it shows for each host group what slicer explain shows of it: names,
sizes and channels, never a value. FILE may be that of slicer run, too; with --inventory all
instances of an inventory are looked at.

Examples:
  $ slicer check slicer.yaml
  $ slicer check --inventory=inventory.yaml
  $ slicer check --json`;

export function configure(command: Command, context: Context): void {
  command.argument('[file]', 'the configuration (default: "slicer.yaml")');
  addVarsFlags(command)
    .option('--json', 'what the file says, with defaults filled in, as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (given: string | undefined, { json, ...flags }: { json?: true } & InstanceFlags) => {
      const { inventory } = flags;
      if (inventory !== undefined) {
        if (given !== undefined) throw fail('usage', `--inventory is another file to check than ${given}`, 'check one at a time');
        return checkInventory(inventory, await inventoryReading(inventory, flags, context), json === true, context);
      }
      const file = given ?? 'slicer.yaml';
      if (await isRunFile(file)) return checkRun(file, json === true, context);
      const config = loadConfig(file);
      for (const name of IMAGE_NAMES) {
        if (config.hostGroups.some(({ image }) => image.kind === name)) await warnOfMissingImage(context, name);
      }
      for (const problem of absentPlaces(config, process.cwd())) warn(context, warningText(problem));
      for (const fact of await missingVmmPrograms(config.hostGroups, process.env['PATH'] ?? '')) warn(context, fact);
      const subjects = groupSubjects(config);
      for (const fact of new Set(subjects.flatMap(({ warnings, plan }) => [...warnings, ...plan.warnings]))) warn(context, fact);
      throwIfAny(subjects.flatMap(({ plan }) => plan.problems));
      if (json) return printJson(context, config);
      printLine(context, `${file}: no problems; host groups: ${config.hostGroups.map(({ name }) => name).join(', ')}`);
      for (const subject of subjects) {
        printLine(context, '');
        printPlan(context, subject);
      }
    });
}

async function checkRun(path: string, json: boolean, context: Context): Promise<void> {
  const { run: file, problems, sound } = await readRunFile(path);
  if (file === undefined) {
    const besides = await checkSoundParts(sound, { env: context.env, uid: (process.geteuid as () => number)() });
    for (const problem of besides.warnings) warn(context, warningText(problem));
    return throwIfAny([...problems, ...besides.problems]);
  }
  const subject = await runSubject(file, context.env);
  for (const fact of subject.warnings) warn(context, fact);
  throwIfAny(subject.plan.problems);
  if (json) return printJson(context, file);
  printLine(context, `${path}: no problems; vm: ${file.name}`);
  printLine(context, '');
  printPlan(context, subject);
}

async function checkInventory(path: string, { problems, inventory: { vms } }: InventoryReading, json: boolean, context: Context): Promise<void> {
  const checked: { readonly name: string; readonly subject: DeliverySubject }[] = [];
  for (const { name, run } of vms) checked.push({ name, subject: await runSubject(run, context.env) });
  // With one VM it is clear whose they are.
  const said = (name: string, fact: string): string => (vms.length === 1 && problems.length === 0 ? fact : `${name}: ${fact}`);
  for (const { name, subject } of checked) for (const fact of subject.warnings) warn(context, said(name, fact));
  throwIfAny([...problems, ...checked.flatMap(({ name, subject }) => subject.plan.problems.map((problem) => ({ ...problem, message: said(name, problem.message) })))]);
  if (json) return printJson(context, { vms });
  printLine(context, `${path}: no problems; instances: ${vms.map(({ name }) => name).join(', ')}`);
  for (const { subject } of checked) {
    printLine(context, '');
    printPlan(context, subject);
  }
}

async function warnOfMissingImage(context: Context, name: ImageName): Promise<void> {
  try {
    await findGuestImage(name);
  } catch (error) {
    if (!(error instanceof SlicerError)) throw error;
    for (const problem of error.problems) warn(context, warningText(problem));
  }
}
