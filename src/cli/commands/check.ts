import type { Command } from 'commander';
import { findTinyImage } from '../../../image/tiny.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { SlicerError, throwIfAny } from '../../errors/slicer-error.ts';
import type { Context } from '../context.ts';
import { planGroup, storeOf } from '../delivery-check.ts';
import { printJson, printLine, warn } from '../output.ts';

const EXAMPLES = `
Reports every problem of a configuration at once, each with line and column, and what the secrets
that are there now would not fit into. A part that a launch would miss, such as an image that is
not built or a secret that is not there, is a warning.

Examples:
  $ slicer check slicer.yaml
  $ slicer check --json`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[file]', 'the configuration', 'slicer.yaml')
    .option('--json', 'what the file says, with defaults filled in, as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, { json }: { json?: true }) => {
      const config = loadConfig(file);
      if (config.hostGroups.some(({ image }) => image.kind === 'tiny')) await warnOfMissingImage(context);
      checkDeliveries(config, context);
      if (json) printJson(context, config);
      else printLine(context, `${file}: no problems; host groups: ${config.hostGroups.map(({ name }) => name).join(', ')}`);
    });
}

/** Throws what a launch would refuse. */
function checkDeliveries(config: Config, context: Context): void {
  const store = storeOf(config);
  const plans = config.hostGroups.map((group) => planGroup(group, store));
  for (const fact of new Set([...store.warnings, ...plans.flatMap(({ warnings }) => warnings)])) warn(context, fact);
  throwIfAny(plans.flatMap(({ problems }) => problems));
}

async function warnOfMissingImage(context: Context): Promise<void> {
  try {
    await findTinyImage();
  } catch (error) {
    if (!(error instanceof SlicerError)) throw error;
    for (const { message, hint } of error.problems) warn(context, hint === undefined ? message : `${message}; ${hint}`);
  }
}
