// What the tiny image holds beside the kernel's modules: busybox, the agent, and the few files that make
// them a system. Nothing is setuid, and nobody has a password: whoever is not root stays who he is.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.ts';

const ACCOUNTS: Record<string, string> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1000:ubuntu:/home/ubuntu:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  'etc/group': 'root:x:0:\ntty:x:5:\nubuntu:x:1000:\nnogroup:x:65534:\n',
};

const SETTINGS: Record<string, string> = {
  'etc/fstab':
    'proc /proc proc nosuid,nodev,noexec 0 0\n' +
    'sysfs /sys sysfs nosuid,nodev,noexec 0 0\n' +
    'devtmpfs /dev devtmpfs mode=0755,nosuid 0 0\n' +
    'tmpfs /run tmpfs mode=0755,nosuid,nodev 0 0\n' +
    'tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n',
  'etc/hosts': '127.0.0.1 localhost\n',
  // QEMU's user network answers DNS here.
  'etc/resolv.conf': 'nameserver 10.0.2.3\n',
  'etc/profile': 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n',
  'etc/os-release': 'ID=slicer-tiny\nNAME="Slicer tiny image"\nPRETTY_NAME="Slicer tiny image"\n',
};

/** Where each script of `image/tiny/` goes. */
const SCRIPTS: Record<string, string> = {
  boot: 'etc/init.d/boot',
  late: 'etc/init.d/late',
  shutdown: 'etc/init.d/shutdown',
  'power-button': 'etc/acpi/PWRF/00000080',
  sudo: 'usr/bin/sudo',
};

const DIRECTORIES = ['dev', 'etc', 'etc/acpi', 'etc/acpi/PWRF', 'etc/init.d', 'home', 'mnt', 'opt', 'proc', 'run', 'srv', 'sys'];
const MERGED = { bin: 'usr/bin', sbin: 'usr/bin', lib: 'usr/lib', 'usr/sbin': 'bin' };

export interface TinyParts {
  /** busybox. */
  readonly program: Uint8Array;
  /** Names by which busybox is called. */
  readonly applets: readonly string[];
  readonly agent: Uint8Array;
  /** Directory of the scripts: `image/tiny`. */
  readonly scripts: string;
}

/** The files of the image, without the kernel's modules. */
export async function tinyFiles(parts: TinyParts): Promise<CpioEntry[]> {
  const directory = (path: string, mode = 0o755): CpioEntry => ({ type: 'directory', path, mode });
  const text = (path: string, content: string, mode = 0o644): CpioEntry => ({ type: 'file', path, mode, data: Buffer.from(content) });
  const symlink = (path: string, target: string): CpioEntry => ({ type: 'symlink', path, target });
  const script = (name: string) => readFile(join(parts.scripts, name), 'utf8');
  return [
    // Without an entry of its own the root of the kernel's first file system is open to everybody.
    directory('.'),
    ...DIRECTORIES.map((path) => directory(path)),
    directory('tmp', 0o1777),
    directory('root', 0o700),
    { ...directory('home/ubuntu', 0o750), uid: 1000, gid: 1000 },
    ...['usr', 'usr/bin', 'usr/lib', 'var', 'var/log'].map((path) => directory(path)),
    ...Object.entries(MERGED).map(([path, target]) => symlink(path, target)),
    symlink('init', 'usr/bin/busybox'),
    symlink('var/run', '../run'),
    symlink('etc/mtab', '../proc/self/mounts'),
    // The kernel opens it for the first process, before anything is mounted (initramfs documentation).
    { type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', path: 'usr/bin/busybox', mode: 0o755, data: parts.program },
    ...parts.applets.filter((name) => name !== 'busybox').map((name) => symlink(`usr/bin/${name}`, 'busybox')),
    { type: 'file', path: 'usr/bin/slicer-agent', mode: 0o755, data: parts.agent },
    ...Object.entries(ACCOUNTS).map(([path, content]) => text(path, content)),
    text('etc/shadow', 'root:*:::::::\nubuntu:*:::::::\n', 0o600),
    ...Object.entries(SETTINGS).map(([path, content]) => text(path, content)),
    text('etc/inittab', await script('inittab')),
    ...(await Promise.all(Object.entries(SCRIPTS).map(async ([name, path]) => text(path, await script(name), 0o755)))),
  ];
}
