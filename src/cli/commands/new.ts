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
Examples:
  $ slicer new web > slicer.yaml
  $ slicer new web --count=3 --ram-mb=1024 > slicer.yaml`;

export function configure(command: Command, context: Context): void {
  command
    .argument('<group>', 'name of the host group; its VMs are GROUP-1, GROUP-2 and so on')
    .option('--count <n>', 'VMs that slicer up starts (default: 0)', wholeNumber('--count', 0, 1000))
    .option('--cpus <n>', 'virtual CPUs of each (default: 1)', wholeNumber('--cpus', 1, 255))
    .option('--ram-mb <n>', 'memory of each in MiB (default: 512)', wholeNumber('--ram-mb', 64, 16_777_216))
    .addHelpText('after', EXAMPLES)
    .action((group: string, { count, cpus, ramMb }: Flags) => {
      context.stdout.write(renderNewConfig(group, {
        ...(count === undefined ? {} : { count }),
        ...(cpus === undefined ? {} : { vcpu: cpus }),
        ...(ramMb === undefined ? {} : { ramMb }),
      }));
    });
}
