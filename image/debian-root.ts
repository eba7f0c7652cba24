// A Debian system below a directory, from packages alone.
//   1. apt fetches the packages, which it has checked, into the system that is to be.
//   2. Their files are unpacked over each other, so that every program is there before the first script runs.
//   3. dpkg installs them once more, now from inside, and so runs their scripts and writes its database.
//   4. The kernel's modules come in, with the index that udev looks into.
//   5. What only the build needed, and what must not be the same in two guests, goes.
// The packages' scripts are trusted as root of the guest is, not as root of this machine: they run with
// the directory as their root, and in process, network, IPC and mount namespaces that end with them.
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from './archive.ts';
import { run } from './command.ts';
import type { Kernel } from './kernel.ts';
import { moduleName } from './kernel-modules.ts';
import { moduleFiles } from './module-files.ts';

/** What the guest has besides Debian's essential packages and what those below need. */
export const DEBIAN_PACKAGES = [
  'systemd', 'systemd-sysv', 'udev', 'dbus', 'kmod', 'procps', 'iproute2', 'login', 'passwd',
  // So that userdata can install more.
  'apt', 'ca-certificates',
];

/** Where the packages lie in the system while it is made. */
const PACKAGES = 'var/cache/apt/archives';

/** They have nobody to read them; packages that come later leave theirs out too. */
const WITHOUT = ['doc', 'info', 'lintian', 'locale', 'man'];

const DEVICES = { null: ['1', '3'], zero: ['1', '5'], full: ['1', '7'], random: ['1', '8'], urandom: ['1', '9'] };

const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
  'HOME=/root', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive', 'DEBCONF_NONINTERACTIVE_SEEN=true',
];

/** Makes the system in an empty directory. `say` gets progress. Throws build_failed. */
export async function makeDebianRoot(root: string, suite: string, kernel: Kernel, say: (line: string) => void): Promise<void> {
  const archive = await openArchive(suite, GUEST_ARCH);
  await mkdir(join(root, PACKAGES), { recursive: true });
  await archive.fetchSystem(DEBIAN_PACKAGES, join(root, PACKAGES), say);
  const packages = inOrder((await readdir(join(root, PACKAGES))).filter((name) => name.endsWith('.deb')));

  for (const [index, name] of packages.entries()) {
    say(`unpacking ${index + 1} of ${packages.length}`);
    await unpackPackage(join(root, PACKAGES, name), root);
  }
  await writeFile(join(root, 'var/lib/dpkg/status'), '');
  await writeFile(join(root, 'etc/dpkg/dpkg.cfg.d/slicer'), WITHOUT.map((name) => `path-exclude=/usr/share/${name}/*\n`).join(''));
  await writeFile(join(root, 'etc/apt/sources.list.d/debian.sources'), [
    'Types: deb', `URIs: ${archive.address}`, `Suites: ${suite}`, 'Components: main', 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg', '',
  ].join('\n'));
  for (const [name, numbers] of Object.entries(DEVICES)) await run('mknod', ['-m', '666', join(root, 'dev', name), 'c', ...numbers]);

  const onLine = (line: string): void => {
    if (line.startsWith('Setting up ')) say(line.replace(/ \(.*/, ''));
  };
  // Debian's essential packages need each other in circles: what they need is unpacked, if not set up.
  await inside(root, ['dpkg', '--install', '--force-depends', '--force-unsafe-io', ...packages.map((name) => `/${PACKAGES}/${name}`)], onLine);
  // All of it stands now, so nothing may be amiss.
  await inside(root, ['dpkg', '--configure', '--pending']);
  await inside(root, ['useradd', '--uid', '1000', '--user-group', '--create-home', '--shell', '/bin/bash', 'ubuntu']);

  say('unpacking the modules of the kernel');
  await addModules(root, kernel);
  await clean(root);
}

/** base-files makes the links that others unpack their files through; base-passwd the users that they give them to. */
function inOrder(names: readonly string[]): string[] {
  const isFirst = (name: string): boolean => /^base-(files|passwd)_/.test(name);
  return [...names.filter(isFirst).sort(), ...names.filter((name) => !isFirst(name)).sort()];
}

async function inside(root: string, command: readonly string[], onLine?: (line: string) => void): Promise<void> {
  const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child'];
  await run('unshare', [...namespaces, `--root=${root}`, '--mount-proc', '/usr/bin/env', '-i', ...ENVIRONMENT, ...command],
    onLine === undefined ? {} : { onLine });
}

/** systemd asks for them at each boot. */
const BOOT_MODULES = ['autofs4', 'ip_tables', 'x_tables', 'nfnetlink'];

/** All that the kernel has, for whatever a guest may want; those of each boot are not compressed, which saves that time. */
async function addModules(root: string, kernel: Kernel): Promise<void> {
  const unpacked = `${root}.kernel`;
  await unpackPackage(kernel.package, unpacked);
  await rename(join(unpacked, 'usr/lib/modules'), join(root, 'usr/lib/modules'));
  await rm(unpacked, { recursive: true });
  const own = await Promise.all([kernel.moduleRoot, kernel.diskModuleRoot].map(moduleFiles));
  const names = new Set([...BOOT_MODULES, ...own.flat().map(({ path }) => moduleName(path))]);
  const modules = join(root, 'usr/lib/modules');
  for (const path of await readdir(modules, { recursive: true })) {
    if (path.endsWith('.ko.xz') && names.has(moduleName(path))) await run('xz', ['--decompress', join(modules, path)]);
  }
  for (const release of await readdir(join(root, 'usr/lib/modules'))) await inside(root, ['depmod', release]);
}

async function clean(root: string): Promise<void> {
  const emptied = [
    ...['dev', 'run', 'tmp', 'var/tmp', 'var/log', 'var/lib/apt/lists', 'var/cache/apt', 'var/cache/debconf', PACKAGES],
    ...WITHOUT.map((name) => `usr/share/${name}`),
  ];
  for (const directory of emptied) {
    const entries = await readdir(join(root, directory)).catch(() => []);
    for (const name of entries) await rm(join(root, directory, name), { recursive: true });
  }
  // Started by whoever asks for them, and not at each boot, of which they are a quarter under emulation.
  for (const name of ['dbus', 'systemd-logind']) await rm(join(root, `usr/lib/systemd/system/multi-user.target.wants/${name}.service`));
  // It names no module, and systemd-modules-load.service would start for it.
  await rm(join(root, 'etc/modules-load.d/modules.conf'), { force: true });
  const unique = ['var/lib/systemd/random-seed', 'var/lib/dbus/machine-id', 'etc/hostname', 'etc/resolv.conf'];
  for (const path of unique) await rm(join(root, path), { force: true });
  // They say that nothing in /etc and /var waits for an update since /usr changed (systemd-update-done.service).
  for (const path of ['etc/.updated', 'var/.updated']) await writeFile(join(root, path), '');
  // Empty, and not absent: each boot gets an identity of its own, and is not taken for the first of an installation.
  await writeFile(join(root, 'etc/machine-id'), '');
}
