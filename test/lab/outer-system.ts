// The system of the nested lab's outer machine: Debian's kernel for clouds, whose KVM and vhost-vsock it lends to
// the VMs inside, and a disk of Debian packages that nothing but unpacking has touched. Trusted is the
// archive's signature.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from '../../image/archive.ts';
import { ensureBusybox } from '../../image/busybox.ts';
import { ensureEntry } from '../../image/cache.ts';
import { run } from '../../image/command.ts';
import { cpioArchive, type CpioEntry } from '../../image/cpio.ts';
import { ensureKernel, type Kernel, placeModules } from '../../image/kernel.ts';
import { moduleFiles } from '../../image/module-files.ts';

export interface OuterSystem {
  readonly kernel: string;
  readonly initrd: string;
  /** A raw disk, ext4. */
  readonly disk: string;
}

const SUITE = 'trixie';
const DISK_KIND = 'lab-disk';
const DISK = 'disk.raw';
const INITRD_KIND = 'lab-initrd';
const INITRD = 'initrd';

/** Besides Debian's essential packages: QEMU, what Node is linked to, and what VMs are given from outside. */
const PACKAGES = ['qemu-system-x86', 'libstdc++6', 'mount', 'busybox-static', 'iproute2', 'e2fsprogs', 'virtiofsd', 'procps', 'strace'];

const MODULES = ['kvm_amd', 'vhost_vsock', 'vhost_net', 'tun', 'macvtap'];

/** Changes with what makes the disk out of the packages. */
const RECIPE = '1';

const SCRIPTS = join(import.meta.dirname, 'guest');

const APPLETS = ['cp', 'mkdir', 'modprobe', 'mount', 'poweroff', 'sh', 'switch_root', 'umount'];

const SPARE_KIB = 32 * 1024;

/** The system, made if it wasn't before: 64 MB of packages to fetch, 170 MB on disk, half a minute. */
export async function ensureOuterSystem(say: (line: string) => void): Promise<OuterSystem> {
  const kernel = await ensureKernel();
  const disk = await ensureEntry(DISK_KIND, await diskInputs(kernel), async (directory) => {
    const root = join(directory, 'root');
    await makeRoot(root, kernel, say);
    say('making the file system');
    await makeFileSystem(root, join(directory, DISK));
    await rm(root, { recursive: true });
  });
  const data = await initramfs(kernel);
  const initrd = await ensureEntry(INITRD_KIND, [data], (directory) => writeFile(join(directory, INITRD), data));
  return { kernel: kernel.vmlinux, initrd: join(initrd, INITRD), disk: join(disk, DISK) };
}

/** Makes a raw disk, ext4, of what is below a directory. */
export async function makeFileSystem(root: string, disk: string): Promise<void> {
  const used = Number((await run('du', ['--summarize', '--apparent-size', '--block-size=4K', root])).split('\t')[0]) * 4;
  const size = `${Math.ceil(used * 1.1) + SPARE_KIB}K`;
  await run('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-i', '8192', '-E', 'root_owner=0:0', '-d', root, disk, size]);
}

async function diskInputs(kernel: Kernel): Promise<string[]> {
  const releases = await readdir(join(kernel.moduleRoot, 'lib/modules'));
  return [SUITE, ...PACKAGES, '', ...MODULES, '', ...releases, RECIPE];
}

async function makeRoot(root: string, kernel: Kernel, say: (line: string) => void): Promise<void> {
  const packages = `${root}.packages`;
  await mkdir(packages);
  await (await openArchive(SUITE, GUEST_ARCH)).fetchSystem(PACKAGES, packages, say);
  const names = (await readdir(packages)).filter((name) => name.endsWith('.deb'));
  await mkdir(root);
  // base-files makes the links that others unpack their files through.
  const isFirst = (name: string): boolean => name.startsWith('base-files_');
  for (const [index, name] of [...names.filter(isFirst), ...names.filter((other) => !isFirst(other))].entries()) {
    say(`unpacking ${index + 1} of ${names.length}`);
    await unpackPackage(join(packages, name), root);
  }
  await rm(packages, { recursive: true });
  for (const name of ['doc', 'info', 'locale', 'man']) await rm(join(root, 'usr/share', name), { recursive: true, force: true });

  // No package's script has run, so there are no accounts yet.
  for (const name of ['passwd', 'group']) await copyFile(join(root, `usr/share/base-passwd/${name}.master`), join(root, 'etc', name));
  await addModules(root, kernel);
}

async function addModules(root: string, kernel: Kernel): Promise<void> {
  const unpacked = `${root}.kernel`;
  await unpackPackage(kernel.package, unpacked);
  const [release] = await readdir(join(unpacked, 'usr/lib/modules')) as [string];
  await placeModules(MODULES, join(unpacked, 'usr/lib/modules', release), join(root, 'usr/lib/modules', release));
  await rm(unpacked, { recursive: true });
}

async function initramfs(kernel: Kernel): Promise<Uint8Array> {
  const { program } = await ensureBusybox();
  const directory = (path: string): CpioEntry => ({ type: 'directory', path, mode: 0o755 });
  return cpioArchive([
    ...['.', 'dev', 'disk', 'memory', 'proc', 'root', 'usr', 'usr/bin', 'usr/lib'].map(directory),
    { type: 'symlink', path: 'bin', target: 'usr/bin' },
    { type: 'symlink', path: 'sbin', target: 'usr/bin' },
    { type: 'symlink', path: 'lib', target: 'usr/lib' },
    // The kernel opens it for the first process, before anything is mounted (initramfs documentation).
    { type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', path: 'usr/bin/busybox', mode: 0o755, data: program },
    ...APPLETS.map((name): CpioEntry => ({ type: 'symlink', path: `usr/bin/${name}`, target: 'busybox' })),
    { type: 'file', path: 'init', mode: 0o755, data: await readFile(join(SCRIPTS, 'initramfs')) },
    // Here and not on the disk, so that a change of it makes no new disk.
    { type: 'file', path: 'slicer-lab', mode: 0o755, data: await readFile(join(SCRIPTS, 'init')) },
    ...await moduleFiles(kernel.diskModuleRoot),
  ]);
}
