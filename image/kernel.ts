// The guest's kernel: Debian's for clouds, as its package has it, and those of its modules that a guest of
// Slicer may ask for. Trusted is the archive's signature.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from './archive.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { run } from './command.ts';
import { type KernelModule, moduleName, modulesAlias, modulesDep, readModule } from './kernel-modules.ts';
import { fail } from '../src/errors/slicer-error.ts';
import { lowInitrdKernel } from './low-initrd-kernel.ts';
import { uncompressedKernel } from './vmlinux.ts';

const SUITE = 'trixie';
const PACKAGE = 'linux-image-cloud-amd64';

/** What a guest whose modules are all in its initramfs may ask for; what these need comes along. */
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

/** What a guest that goes on from a disk needs until it is there, and what its init loads once for all who follow. */
const DISK_MODULES = [
  ...MODULES.filter((name) => name !== 'vsock_loopback'),
  'virtio_blk', 'virtio_balloon', 'overlay',
  // QEMU's watchdog.
  'i6300esb',
];

const INPUTS = [SUITE, PACKAGE, ...MODULES, '', ...DISK_MODULES, 'vmlinux, low initramfs, plain modules and the package'];

export interface Kernel {
  /** Path of the uncompressed kernel. */
  readonly vmlinux: string;
  /** Path of the kernel as a bzImage whose initramfs lies low. */
  readonly lowInitrd: string;
  /** Directory that holds `lib/modules/RELEASE`, as the guest needs it. */
  readonly moduleRoot: string;
  /** The same for an initramfs that goes on from a disk. */
  readonly diskModuleRoot: string;
  /** Path of the kernel's package, for all of its modules. */
  readonly package: string;
}

const inEntry = (entry: string): Kernel => ({
  vmlinux: join(entry, 'vmlinux'),
  lowInitrd: join(entry, 'low-initrd-bzImage'),
  moduleRoot: join(entry, 'modules'),
  diskModuleRoot: join(entry, 'disk-modules'),
  package: join(entry, 'package.deb'),
});

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
    const kernel = inEntry(directory);
    await rename(await archive.fetchPackage(image, directory), kernel.package);
    await unpackPackage(kernel.package, unpacked);
    const [bzImage] = await filesBelow(join(unpacked, 'boot'), (name) => name.startsWith('vmlinuz-'));
    if (bzImage === undefined) throw fail('build_failed', `${image} has no kernel in it`);
    await writeFile(kernel.vmlinux, await uncompressedKernel(bzImage, directory));
    await writeFile(kernel.lowInitrd, lowInitrdKernel(await readFile(bzImage)));
    const release = basename(bzImage).slice('vmlinuz-'.length);
    const from = join(unpacked, 'usr/lib/modules', release);
    await placeModules(MODULES, from, join(kernel.moduleRoot, 'lib/modules', release));
    await placeModules(DISK_MODULES, from, join(kernel.diskModuleRoot, 'lib/modules', release));
    await rm(unpacked, { recursive: true });
  });
  return inEntry(entry);
}

/** Puts modules of a kernel, and what these need, from one directory into another, not compressed, with their indices. */
export async function placeModules(names: readonly string[], from: string, to: string): Promise<void> {
  const builtin = await readFile(join(from, 'modules.builtin'), 'utf8');
  const files = await filesBelow(from, (name) => /\.ko\.xz$/.test(name));
  const modules: KernelModule[] = [];
  const waiting = [...names];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (modules.some((module) => module.name === name)) continue;
    if (builtin.split('\n').some((path) => moduleName(path) === name)) continue;
    const file = files.find((path) => moduleName(path) === name);
    if (file === undefined) throw fail('build_failed', `${PACKAGE} of ${SUITE} has no module ${name}`);
    const plain = file.slice(0, -'.xz'.length);
    // Another set may have it too.
    await run('xz', ['--decompress', '--keep', '--force', file]);
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
