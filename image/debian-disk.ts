// The disk of the Debian image: one raw file, ext4, which every VM of this machine has and none may write to.
// ext4, because Debian's kernel for clouds has it built in (no module to load) and e2fsprogs, which every
// Debian has, makes it from a directory without a mount; without a journal, since nobody writes; and not
// compressed, which under emulation would be most of a boot. Holes take no room on this machine.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../src/errors/slicer-error.ts';
import { GUEST_ARCH, hostArch } from './archive.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { run } from './command.ts';
import { DEBIAN_PACKAGES, makeDebianRoot } from './debian-root.ts';
import type { Kernel } from './kernel.ts';

export const DEBIAN_SUITE = 'trixie';
const KIND = 'debian-disk';
const DISK = 'disk.raw';

/** By which the initramfs finds the disk: `image/debian/init`. */
const LABEL = 'slicer-debian';

/** Changes with what makes the disk out of the packages. */
const RECIPE = '3';

const SPARE_KIB = 32 * 1024;

/** Path of the disk, if it was made before for this kernel, whose modules it has. */
export async function findDebianDisk(kernel: Kernel): Promise<string | undefined> {
  const entry = findEntry(KIND, await inputs(kernel));
  return entry === undefined ? undefined : join(entry, DISK);
}

/**
 * Path of the disk, made if it wasn't before: 45 MB of packages to fetch, 160 MB on disk, half a minute.
 * Throws missing_part where this machine can't make it.
 */
export async function ensureDebianDisk(kernel: Kernel, say: (line: string) => void): Promise<string> {
  const entry = await ensureEntry(KIND, await inputs(kernel), async (directory) => {
    if (process.geteuid?.() !== 0) throw fail('missing_part', 'only root can make the Debian image, whose files have owners', 'sudo slicer image build debian');
    if (await hostArch() !== GUEST_ARCH) throw fail('missing_part', `only a machine of ${GUEST_ARCH} can make the Debian image: its packages run their scripts`);
    const root = join(directory, 'root');
    await mkdir(root);
    await makeDebianRoot(root, DEBIAN_SUITE, kernel, say);
    say('making the file system');
    await makeFileSystem(root, join(directory, DISK));
    await rm(root, { recursive: true });
  });
  return join(entry, DISK);
}

async function inputs(kernel: Kernel): Promise<string[]> {
  const releases = await readdir(join(kernel.moduleRoot, 'lib/modules'));
  return [DEBIAN_SUITE, ...DEBIAN_PACKAGES, ...releases, RECIPE];
}

async function makeFileSystem(root: string, disk: string): Promise<void> {
  const used = Number((await run('du', ['--summarize', '--apparent-size', '--block-size=4K', root])).split('\t')[0]) * 4;
  const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-i', '8192', '-L', LABEL, '-d', root];
  await run('mke2fs', [...options, disk, `${Math.ceil(used * 1.1) + SPARE_KIB}K`]);
}
