// The Debian guest image: Debian 13 with systemd, for what the tiny image is too small for. Its disk is shared
// and is never written to; the layer over it is the VM's memory and goes with the VM. The agent and the
// image's settings are in the initramfs, which is made anew in milliseconds when they change.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../src/errors/slicer-error.ts';
import { findAgent } from './agent.ts';
import { type Busybox, ensureBusybox, findBusybox } from './busybox.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { cpioArchive } from './cpio.ts';
import { ensureDebianDisk, findDebianDisk } from './debian-disk.ts';
import { debianFiles } from './debian-files.ts';
import type { GuestImage } from './guest-image.ts';
import { findInstalled } from './installation.ts';
import { ensureKernel, findKernel, type Kernel } from './kernel.ts';
import { moduleFiles } from './module-files.ts';

/**
 * The kernel's part is the tiny image's, but that nothing is left out which a service may want. systemd says on
 * the console what it starts, without colours, since the console is the VM's log.
 */
const CMDLINE = [
  'console=ttyS0 quiet panic=-1',
  'cryptomgr.notests tsc=reliable no_timer_check',
  'net.ifnames=0 TERM=dumb systemd.show_status=true',
].join(' ');

const KIND = 'debian';
const INITRD = 'initrd';

/** The Debian image, if it was built from what is installed now. Throws missing_part if not. */
export async function findDebianImage(): Promise<GuestImage> {
  const [kernel, busybox] = [findKernel(), await findBusybox()];
  const disk = kernel === undefined ? undefined : await findDebianDisk(kernel);
  const entry = kernel === undefined || busybox === undefined ? undefined : findEntry(KIND, [await assemble(kernel, busybox)]);
  if (kernel === undefined || disk === undefined || entry === undefined) {
    throw fail('missing_part', 'the Debian image is not built', 'slicer image build debian');
  }
  return { kernel: kernel.vmlinux, lowInitrdKernel: kernel.lowInitrd, initrd: join(entry, INITRD), cmdline: CMDLINE, disks: [disk] };
}

/** The Debian image, built if it wasn't before: the first time takes root, the network, and a minute. */
export async function ensureDebianImage(say: (line: string) => void): Promise<GuestImage> {
  const [kernel, busybox] = await Promise.all([ensureKernel(), ensureBusybox()]);
  const disk = await ensureDebianDisk(kernel, say);
  const initrd = await assemble(kernel, busybox);
  const entry = await ensureEntry(KIND, [initrd], (directory) => writeFile(join(directory, INITRD), initrd));
  return { kernel: kernel.vmlinux, lowInitrdKernel: kernel.lowInitrd, initrd: join(entry, INITRD), cmdline: CMDLINE, disks: [disk] };
}

/** The initramfs' bytes, which are its name in the cache too: so it is never stale. */
async function assemble(kernel: Kernel, { program }: Busybox): Promise<Buffer> {
  const scripts = findInstalled({ besideBundle: 'debian', belowRoot: 'image/debian' });
  if (scripts === undefined) throw fail('missing_part', 'the scripts of the Debian image are not installed', 'npm run build');
  const [files, modules] = await Promise.all([
    readFile(findAgent('x86_64')).then((agent) => debianFiles({ program, agent, scripts })),
    moduleFiles(kernel.diskModuleRoot),
  ]);
  return cpioArchive([...files, ...modules]);
}
