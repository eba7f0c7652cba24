import type { Command } from 'commander';
import { renderNewConfig } from '../../config/new-config.ts';
import type { Context } from '../context.ts';
import { wholeNumber } from '../option-values.ts';

interface Flags {
  readonly count?: number;
  readonly cpus?: number;
  readonly ramMb?: number;
}

const EXAMPLES = `
Prints a configuration with one host group, with comments on everything that can be set.

Examples:
  $ slicer new web > slicer.yaml
  $ slicer new ci --cpus=2 --ram-mb=2048 --count=3 > slicer.yaml`;

export function configure(command: Command, context: Context): void {
  command
    .argument('<group>', 'name of the host group; its VMs are GROUP-1, GROUP-2 and so on')
    .option('--count <n>', 'VMs that `slicer up` starts', wholeNumber('--count', 0, 1000))
    .option('--cpus <n>', 'virtual CPUs of a VM', wholeNumber('--cpus', 1, 255))
    .option('--ram-mb <n>', 'memory of a VM in MiB', wholeNumber('--ram-mb', 64, 4_194_304))
    .addHelpText('after', EXAMPLES)
    .action((group: string, { count, cpus, ramMb }: Flags) => {
      context.stdout.write(renderNewConfig(group, {
        ...(count === undefined ? {} : { count }),
        ...(cpus === undefined ? {} : { vcpu: cpus }),
        ...(ramMb === undefined ? {} : { ramMb }),
      }));
    });
}
