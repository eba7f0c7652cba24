import type { Command } from 'commander';
import { ensureGuestImage, IMAGE_NAMES } from '../../../image/guest-images.ts';
import { ensureMachine } from '../../../image/machine.ts';
import { ensureVhostDeviceVsock } from '../../../image/vhost-device-vsock.ts';
import { fail } from '../../errors/slicer-error.ts';
import type { Context } from '../context.ts';
import { printJson, printTable, say } from '../output.ts';

const EXAMPLES = `
tiny is a kernel, busybox and the agent, all in memory: half a minute and 35 MB of packages the
first time. debian is Debian 13 with systemd, on a disk that all VMs share and none writes to: half
a minute and 45 MB of packages more, and 150 MB on disk; only root can make it. Both are made once
and kept in ~/.cache/slicer ($SLICER_CACHE); the first time takes the network.

Examples:
  $ slicer image build
  $ slicer image build debian
  $ slicer image build --json | jq -r .initrd`;

/** What a recipe says of its progress comes many times a second. */
const SAID_EVERY_MS = 2000;

export function configure(command: Command, context: Context): void {
  command
    .argument('[image]', `which image: ${IMAGE_NAMES.join(', ')}`, 'tiny')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (word: string, { json }: { json?: true }) => {
      const name = IMAGE_NAMES.find((known) => known === word);
      if (name === undefined) throw fail('usage', `there is no recipe for an image "${word}"`, 'slicer image build tiny');
      say(context, `making the ${name} image, or finding it made`);
      const progress = nowAndThen(context);
      if (name === 'debian') await ensureMachine(['debian'], progress);
      // The device through which a guest is reached: no VM starts without it.
      const [image] = await Promise.all([ensureGuestImage(name, progress), ensureVhostDeviceVsock()]);
      if (json) return printJson(context, image);
      const columns = [['KERNEL', image.kernel], ['INITRD', image.initrd], ...image.disks.map((disk) => ['DISK', disk]), ['CMDLINE', image.cmdline]];
      printTable(context, columns.map(([title]) => ({ title: title as string })), [columns.map(([, value]) => value as string)]);
    });
}

/** Says the first line that it is given, and after that not more than one in a while. */
function nowAndThen(context: Context): (line: string) => void {
  let saidMs = -Infinity;
  return (line) => {
    const nowMs = performance.now();
    if (nowMs - saidMs < SAID_EVERY_MS) return;
    saidMs = nowMs;
    say(context, line);
  };
}
