// What the Debian image has besides its packages. It comes from the initramfs, so that a change of it makes no
// new disk: the agent and its units, and the settings that make Debian a guest of a microVM. What a machine
// with a screen, a clock of its own, or a disk to keep needs is masked, which is most of a boot's time.
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { AGENT_PATH, SYSTEMD_UNITS } from '../agent/units.ts';
import type { CpioEntry } from './cpio.ts';

/** Where the initramfs has what it copies over the disk's files. */
const IMAGE = 'image';

const UNITS = 'etc/systemd/system';

/**
 * Units that nothing starts, whoever asks for them. A service costs a tenth of a second and more under emulation:
 * each begins as another copy of systemd.
 */
const MASKED: readonly string[] = [
  // Nobody has a password, so nobody can log in.
  'getty.target', 'systemd-ask-password-console.path', 'systemd-ask-password-wall.path', 'systemd-user-sessions.service',
  // What init did, or the kernel has built in, or only a machine with a screen and EFI has a use for.
  'modprobe@vmw_vsock_virtio_transport.service', 'kmod-static-nodes.service', 'systemd-tmpfiles-setup-dev.service',
  'systemd-tmpfiles-setup-dev-early.service', 'modprobe@configfs.service', 'modprobe@drm.service',
  'modprobe@efi_pstore.service', 'modprobe@fuse.service', 'tmp.mount', 'run-lock.mount',
  // File systems of the kernel that few programs want, and that can be mounted by hand.
  'dev-hugepages.mount', 'dev-mqueue.mount', 'proc-sys-fs-binfmt_misc.automount', 'sys-kernel-config.mount',
  'sys-kernel-debug.mount', 'sys-kernel-tracing.mount', 'sys-fs-fuse-connections.mount',
  // What would be kept for the next boot: nothing is.
  'systemd-random-seed.service', 'systemd-journal-flush.service', 'systemd-remount-fs.service', 'systemd-pstore.service',
  'systemd-firstboot.service', 'systemd-machine-id-commit.service', 'systemd-hibernate-clear.service',
  'apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'fstrim.timer',
  // Reserved credentials that few send (systemd-udevd.service(8)), and sockets of services that a microVM has no use for.
  'systemd-udev-load-credentials.service', 'systemd-initctl.socket', 'systemd-sysext.socket', 'systemd-creds.socket',
  'systemd-hostnamed.socket',
];

/** Programs that make units of what they find: what they look for, the image does not have. */
const NO_GENERATORS: readonly string[] = [
  'systemd-getty-generator', 'systemd-gpt-auto-generator', 'systemd-hibernate-resume-generator', 'systemd-rc-local-generator',
  'systemd-run-generator', 'systemd-ssh-generator', 'systemd-system-update-generator', 'systemd-sysv-generator',
  'systemd-tpm2-generator',
];

/** Reads the button itself: logind, which does it elsewhere, and D-Bus, which that needs, take seconds under emulation. */
const POWER_BUTTON = `[Unit]
Description=Power button, which powers the VM off
ConditionPathExistsGlob=/dev/input/event*
[Service]
ExecStart=/usr/lib/slicer/busybox acpid -f -l /dev/null -c /usr/lib/slicer/acpi
[Install]
WantedBy=multi-user.target
`;

/** Done when there is a lease, or after three seconds without one, when it goes on in the background. */
const NETWORK = `[Unit]
Description=Addresses of eth0, by DHCP
DefaultDependencies=no
After=systemd-sysctl.service
ConditionPathExists=/sys/class/net/eth0
Wants=network.target
Before=network.target network-online.target shutdown.target
Conflicts=shutdown.target
[Service]
Type=forking
ExecStart=/usr/lib/slicer/busybox udhcpc -i eth0 -b -t 3 -T 1 -S -s /usr/lib/slicer/dhcp
[Install]
WantedBy=multi-user.target
`;

const SETTINGS: Record<string, string> = {
  // In memory, as all that the guest writes.
  'etc/systemd/journald.conf.d/slicer.conf': '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\nAudit=no\n',
  // Where the VM has a watchdog: a guest whose systemd is stuck for so long is reset.
  'etc/systemd/system.conf.d/slicer.conf': '[Manager]\nRuntimeWatchdogSec=1min\n',
  // init loaded the modules of what a microVM has. What is left are devices that udev names and gives owners to.
  [`${UNITS}/systemd-udev-trigger.service.d/slicer.conf`]:
    '[Service]\nExecStart=\nExecStart=-udevadm trigger --action=add --subsystem-match=block --subsystem-match=input --subsystem-match=misc\n',
  // Of QEMU's q35, for disks that a microVM has none of.
  'etc/modprobe.d/slicer.conf': 'blacklist ahci\n',
  [`${UNITS}/slicer-network.service`]: NETWORK,
  [`${UNITS}/slicer-power-button.service`]: POWER_BUTTON,
};

const LINKS: Record<string, string> = {
  [`${UNITS}/default.target`]: '/usr/lib/systemd/system/multi-user.target',
  [`${UNITS}/multi-user.target.wants/slicer-network.service`]: '../slicer-network.service',
  [`${UNITS}/multi-user.target.wants/slicer-power-button.service`]: '../slicer-power-button.service',
};

/** Where each script of `image/debian/` goes, besides `init`. */
const SCRIPTS: Record<string, string> = {
  dhcp: 'usr/lib/slicer/dhcp',
  'power-button': 'usr/lib/slicer/acpi/PWRF/00000080',
  shutdown: 'usr/lib/systemd/system-shutdown/slicer',
};

/** Programs of busybox that `init` uses. */
const APPLETS = ['cp', 'findfs', 'mkdir', 'mknod', 'modprobe', 'mount', 'poweroff', 'sh', 'switch_root'];

export interface DebianParts {
  /** busybox. */
  readonly program: Uint8Array;
  readonly agent: Uint8Array;
  /** Directory of the scripts: `image/debian`. */
  readonly scripts: string;
}

/** The files of the initramfs, without the kernel's modules. */
export async function debianFiles(parts: DebianParts): Promise<CpioEntry[]> {
  const script = (name: string): Promise<Buffer> => readFile(join(parts.scripts, name));
  const scripts = await Promise.all(Object.entries(SCRIPTS).map(async ([name, path]) => file(path, await script(name), 0o755)));
  return [
    // Without an entry of its own the root of the kernel's first file system is open to everybody.
    ...['.', 'dev', 'disk', 'memory', 'proc', 'root', 'sys', 'usr', 'usr/bin', 'usr/lib'].map(directory),
    { type: 'symlink', path: 'bin', target: 'usr/bin' },
    // The kernel asks for /sbin/modprobe.
    { type: 'symlink', path: 'sbin', target: 'usr/bin' },
    { type: 'symlink', path: 'lib', target: 'usr/lib' },
    // The kernel opens it for the first process, before anything is mounted (initramfs documentation).
    { type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', path: 'usr/bin/busybox', mode: 0o755, data: parts.program },
    ...APPLETS.map((name) => symlink(`usr/bin/${name}`, 'busybox')),
    { type: 'file', path: 'init', mode: 0o755, data: await script('init') },
    ...below(IMAGE, [...scripts, ...imageFiles(parts.agent)]),
  ];
}

/** What is copied over the disk's files, besides scripts. */
function imageFiles(agent: Uint8Array): CpioEntry[] {
  return [
    file(AGENT_PATH, agent, 0o755),
    ...SYSTEMD_UNITS.files.map(({ path, mode, text }) => file(path, text, mode)),
    ...SYSTEMD_UNITS.links.map(({ path, target }) => symlink(path, target)),
    ...Object.entries(SETTINGS).map(([path, text]) => file(path, text)),
    ...Object.entries(LINKS).map(([path, target]) => symlink(path, target)),
    ...MASKED.map((unit) => symlink(`${UNITS}/${unit}`, '/dev/null')),
    ...NO_GENERATORS.map((name) => symlink(`etc/systemd/system-generators/${name}`, '/dev/null')),
  ];
}

/** The entries below a directory, with all that they are in, each before what it holds. */
function below(top: string, entries: readonly CpioEntry[]): CpioEntry[] {
  const moved = entries.map((entry) => ({ ...entry, path: posix.join(top, entry.path) }));
  const directories = new Set(moved.flatMap(({ path }) => {
    const parts = posix.dirname(path).split('/');
    return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  }));
  // As Debian's own: a copy brings the mode along.
  return [...[...directories].sort().map(directory), ...moved];
}

const directory = (path: string): CpioEntry => ({ type: 'directory', path, mode: 0o755 });

const file = (path: string, data: Uint8Array | string, mode = 0o644): CpioEntry => ({ type: 'file', path, mode, data: Buffer.from(data) });

const symlink = (path: string, target: string): CpioEntry => ({ type: 'symlink', path, target });
