// The tiny guest image: Debian's kernel, busybox and the agent, all in memory. It is small so that a VM is
// up in seconds even where it is emulated; it is the image of the quick start and of the tests.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../src/errors/slicer-error.ts';
import { findAgent } from './agent.ts';
import { type Busybox, ensureBusybox, findBusybox } from './busybox.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { cpioArchive } from './cpio.ts';
import type { GuestImage } from './guest-image.ts';
import { findInstalled } from './installation.ts';
import { ensureKernel, findKernel, type Kernel } from './kernel.ts';
import { moduleFiles } from './module-files.ts';
import { tinyFiles } from './tiny-files.ts';

/**
 * `quiet`: the console is the VM's log. `panic=-1`: a guest that can't go on starts again. The others make
 * for a shorter boot, which under emulation they halve together with the uncompressed kernel: no self-test of
 * the kernel's ciphers (0.6 s), no calibration against a second clock (which fails on a busy host besides),
 * and none of the tables, keys and generators that only BPF programs, foreign modules and the kernel's own
 * cryptography would use (0.2 s).
 */
export const TINY_CMDLINE = [
  'console=ttyS0 quiet panic=-1',
  'cryptomgr.notests tsc=reliable no_timer_check',
  'initcall_blacklist=jent_mod_init,bpf_tcp_ca_kfunc_init,bpf_sockmap_iter_init,bpf_dummy_struct_ops_init,load_system_certificate_list',
].join(' ');

const KIND = 'tiny';
const INITRD = 'initrd';

/** The tiny image, if it was built from what is installed now. Throws missing_part if not. */
export async function findTinyImage(): Promise<GuestImage> {
  const [kernel, busybox] = [findKernel(), await findBusybox()];
  const entry =
    kernel === undefined || busybox === undefined ? undefined : findEntry(KIND, [await assemble(kernel, busybox)]);
  if (kernel === undefined || entry === undefined) {
    throw fail('missing_part', 'the tiny image is not built', 'slicer image build');
  }
  return inEntry(kernel, entry);
}

/** The tiny image, built if it wasn't before: the first time takes the network, and half a minute. */
export async function ensureTinyImage(): Promise<GuestImage> {
  const [kernel, busybox] = await Promise.all([ensureKernel(), ensureBusybox()]);
  const initrd = await assemble(kernel, busybox);
  return inEntry(kernel, await ensureEntry(KIND, [initrd], (directory) => writeFile(join(directory, INITRD), initrd)));
}

const inEntry = (kernel: Kernel, entry: string): GuestImage => ({
  kernel: kernel.vmlinux,
  lowInitrdKernel: kernel.lowInitrd,
  initrd: join(entry, INITRD),
  cmdline: TINY_CMDLINE,
  disks: [],
});

/** The image's bytes, which are its name in the cache too: it takes 20 ms, and so no image is ever stale. */
async function assemble(kernel: Kernel, busybox: Busybox): Promise<Buffer> {
  const scripts = findInstalled({ besideBundle: 'tiny', belowRoot: 'image/tiny' });
  if (scripts === undefined) throw fail('missing_part', 'the scripts of the tiny image are not installed', 'npm run build');
  const [files, modules] = await Promise.all([
    readFile(findAgent('x86_64')).then((agent) => tinyFiles({ ...busybox, agent, scripts })),
    moduleFiles(kernel.moduleRoot),
  ]);
  return cpioArchive([...files, ...modules]);
}
