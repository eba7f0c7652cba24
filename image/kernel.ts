// The guest's kernel: Debian's for clouds, as its package has it, and those of its modules that a guest of
// Slicer may ask for. Trusted is the archive's signature.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from './archive.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { run } from './command.ts';
import { type KernelModule, moduleName, modulesAlias, modulesDep, readModule } from './kernel-modules.ts';
import { fail } from '../src/errors/slicer-error.ts';
import { uncompressedKernel } from './vmlinux.ts';

const SUITE = 'trixie';
const PACKAGE = 'linux-image-cloud-amd64';

/** What a guest may ask for; what these need comes along. */
const MODULES = [
  // The live channel, over PCI (QEMU, Cloud Hypervisor) or MMIO (Firecracker, QEMU's microvm).
  'vmw_vsock_virtio_transport', 'virtio_mmio',
  // Where a guest has no VSOCK device the kernel loads this for whoever asks: tests show that it gains nobody anything.
  'vsock_loopback',
  // The boot channel where a VMM has no SMBIOS.
  'qemu_fw_cfg',
  'virtio_net', 'virtio_rng',
  // ACPI's power button, and the device through which acpid reads it.
  'button', 'evdev',
];

const INPUTS = [SUITE, PACKAGE, ...MODULES, 'vmlinux and plain modules'];

export interface Kernel {
  /** Path of the uncompressed kernel. */
  readonly vmlinux: string;
  /** Directory that holds `lib/modules/RELEASE`, as the guest needs it. */
  readonly moduleRoot: string;
}

const inEntry = (entry: string): Kernel => ({ vmlinux: join(entry, 'vmlinux'), moduleRoot: join(entry, 'modules') });

/** The kernel, if it was fetched before. */
export function findKernel(): Kernel | undefined {
  const entry = findEntry('kernel', INPUTS);
  return entry === undefined ? undefined : inEntry(entry);
}

/** The kernel, fetched (35 MB) and unpacked if it wasn't before. */
export async function ensureKernel(): Promise<Kernel> {
  const entry = await ensureEntry('kernel', INPUTS, async (directory) => {
    const archive = await openArchive(SUITE, GUEST_ARCH);
    const image = (await archive.dependencies(PACKAGE)).find((name) => name.startsWith('linux-image-'));
    if (image === undefined) throw fail('build_failed', `${PACKAGE} of ${SUITE} names no kernel`);
    const unpacked = join(directory, 'package');
    await unpackPackage(await archive.fetchPackage(image, directory), unpacked);
    const [bzImage] = await filesBelow(join(unpacked, 'boot'), (name) => name.startsWith('vmlinuz-'));
    if (bzImage === undefined) throw fail('build_failed', `${image} has no kernel in it`);
    const kernel = inEntry(directory);
    await writeFile(kernel.vmlinux, await uncompressedKernel(bzImage, directory));
    const release = basename(bzImage).slice('vmlinuz-'.length);
    await placeModules(join(unpacked, 'usr/lib/modules', release), join(kernel.moduleRoot, 'lib/modules', release));
    await rm(unpacked, { recursive: true });
    await Promise.all((await readdir(directory)).filter((name) => name.endsWith('.deb')).map((name) => rm(join(directory, name))));
  });
  return inEntry(entry);
}

async function placeModules(from: string, to: string): Promise<void> {
  const builtin = await readFile(join(from, 'modules.builtin'), 'utf8');
  const files = await filesBelow(from, (name) => /\.ko\.xz$/.test(name));
  const modules: KernelModule[] = [];
  const waiting = [...MODULES];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (modules.some((module) => module.name === name)) continue;
    if (builtin.split('\n').some((path) => moduleName(path) === name)) continue;
    const file = files.find((path) => moduleName(path) === name);
    if (file === undefined) throw fail('build_failed', `${PACKAGE} of ${SUITE} has no module ${name}`);
    await run('xz', ['--decompress', file]);
    const plain = file.slice(0, -'.xz'.length);
    const module = readModule(plain.slice(from.length + 1), await readFile(plain));
    modules.push(module);
    waiting.push(...module.depends);
    await mkdir(dirname(join(to, module.path)), { recursive: true });
    await rename(plain, join(to, module.path));
  }
  await writeFile(join(to, 'modules.dep'), modulesDep(modules));
  await writeFile(join(to, 'modules.alias'), modulesAlias(modules));
  await writeFile(join(to, 'modules.builtin'), builtin);
}

async function filesBelow(directory: string, matches: (name: string) => boolean): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && matches(entry.name)).map((entry) => join(entry.parentPath, entry.name));
}
