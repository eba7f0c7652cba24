// What a run brings into the nested lab: the checkout as it is built now, its pinned Node, the guest images, the
// VMMs, and the words that `node` is to be called with. One disk for all of it, made anew for each run.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { ensureBusybox } from '../../image/busybox.ts';
import { findDebianImage } from '../../image/debian.ts';
import { ensureKernel } from '../../image/kernel.ts';
import { ensureTinyImage } from '../../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { makeFileSystem } from './outer-system.ts';

const CHECKOUT = join(import.meta.dirname, '..', '..');

const BROUGHT = ['package.json', 'agent', 'bin', 'build', 'image', 'node_modules', 'scripts', 'src', 'test'];

/** Of node_modules, what only builds and checks need; of the pinned Node, what is not its program. */
const LEFT_OUT = /^node_modules\/(typescript|@typescript|esbuild|@esbuild|@types|node-linux-[^/]+\/(include|share|lib))$/;

export interface PayloadParts {
  /** Programs that are found on the PATH inside, by their names there. */
  readonly programs: Readonly<Record<string, string>>;
  /** What `node` is called with in the checkout; no word has a blank in it. */
  readonly command: readonly string[];
  /** Whether the Debian image comes along. It has to be built. */
  readonly debian: boolean;
}

/** Makes the disk in an empty directory; its path. Throws missing_part, build_failed. */
export async function makePayload(directory: string, parts: PayloadParts): Promise<string> {
  const root = join(directory, 'payload');
  await Promise.all(['bin', 'cache', 'checkout'].map((name) => mkdir(join(root, name), { recursive: true })));
  const programs = { ...parts.programs, 'vhost-device-vsock': await ensureVhostDeviceVsock() };
  for (const [name, path] of Object.entries(programs)) await cp(path, join(root, 'bin', name), { dereference: true });
  for (const entry of await cacheEntries(parts.debian)) await cp(entry, join(root, 'cache', basename(entry)), { recursive: true });
  for (const name of BROUGHT) {
    await cp(join(CHECKOUT, name), join(root, 'checkout', name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !LEFT_OUT.test(relative(CHECKOUT, source).split(sep).join('/')),
    });
  }
  await writeFile(join(root, 'command'), parts.command.map((word) => `${word}\n`).join(''));
  const disk = join(directory, 'payload.raw');
  await makeFileSystem(root, disk);
  return disk;
}

async function cacheEntries(debian: boolean): Promise<string[]> {
  const [kernel, busybox, tiny] = await Promise.all([ensureKernel(), ensureBusybox(), ensureTinyImage()]);
  const entries = [dirname(kernel.vmlinux), busybox.directory, dirname(tiny.initrd)];
  if (!debian) return entries;
  const image = await findDebianImage();
  return [...entries, dirname(image.initrd), ...image.disks.map((path) => dirname(path))];
}

/** Whether the Debian image is there to be brought along. */
export async function hasDebianImage(): Promise<boolean> {
  return findDebianImage().then(() => true, (error: unknown) => {
    if (error instanceof SlicerError) return false;
    throw error;
  });
}
