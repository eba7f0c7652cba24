import type { Command } from 'commander';
import { ensureTinyImage } from '../../../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../../../image/vhost-device-vsock.ts';
import { fail } from '../../errors/slicer-error.ts';
import type { Context } from '../context.ts';
import { printJson, printTable, say } from '../output.ts';

const EXAMPLES = `
The image is a kernel, busybox and the agent, all in memory. It is made once and kept in
~/.cache/slicer ($SLICER_CACHE); the first time takes the network, and half a minute.

Examples:
  $ slicer image build
  $ slicer image build --json | jq -r .initrd`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[image]', 'which image; there is one: tiny', 'tiny')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, { json }: { json?: true }) => {
      if (name !== 'tiny') throw fail('usage', `there is no recipe for an image "${name}"`, 'slicer image build tiny');
      say(context, 'making the tiny image, or finding it made');
      // The device through which a guest is reached: no VM starts without it.
      const [image] = await Promise.all([ensureTinyImage(), ensureVhostDeviceVsock()]);
      if (json) return printJson(context, image);
      printTable(
        context,
        ['KERNEL', 'INITRD', 'CMDLINE'].map((title) => ({ title })),
        [[image.kernel, image.initrd, image.cmdline]],
      );
    });
}
