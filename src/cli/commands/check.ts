import type { Command } from 'commander';
import { findTinyImage } from '../../../image/tiny.ts';
import { loadConfig } from '../../config/load.ts';
import { SlicerError } from '../../errors/slicer-error.ts';
import type { Context } from '../context.ts';
import { printJson, printLine, warn } from '../output.ts';

const EXAMPLES = `
Reports every problem of a configuration at once, each with line and column. A part that a
launch would miss, such as an image that is not built, is a warning.

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
      if (json) printJson(context, config);
      else printLine(context, `${file}: no problems; host groups: ${config.hostGroups.map(({ name }) => name).join(', ')}`);
    });
}

async function warnOfMissingImage(context: Context): Promise<void> {
  try {
    await findTinyImage();
  } catch (error) {
    if (!(error instanceof SlicerError)) throw error;
    for (const { message, hint } of error.problems) warn(context, hint === undefined ? message : `${message}; ${hint}`);
  }
}
