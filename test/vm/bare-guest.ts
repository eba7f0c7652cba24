// A guest of one's own that knows nothing of Slicer: a disk with a root file system made of a directory, which
// keeps what is written to it, and an initramfs that goes on from there. `/root/first-boot` is what a user
// types in it once, before it is started anew.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ensureBusybox } from '../../image/busybox.ts';
import { cpioArchive, type CpioEntry } from '../../image/cpio.ts';
import { findKernel } from '../../image/kernel.ts';
import { moduleFiles } from '../../image/module-files.ts';
import { ROOT } from './parts.ts';

const INIT = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for file in /sys/bus/virtio/devices/*/modalias /sys/bus/pci/devices/*/modalias; do
  read -r alias < "$file" && modprobe -q "$alias"
done
modprobe -q -a button evdev
mount -t ext4 /dev/vda /root || exec poweroff -f
for place in proc sys dev; do mount --move "/$place" "/root/$place"; done
exec switch_root /root /sbin/init
`;
const INIT_APPLETS = ['modprobe', 'mount', 'poweroff', 'sh', 'switch_root'];

/** What its init runs last of its start: once the words of the user, and always what is in /root/every-boot. */
export const BOOT_END = `if [ -e /root/first-boot ]; then
  mv /root/first-boot /root/was-typed
  sh /root/was-typed > /dev/console 2>&1
  sync
  reboot -f
fi
`;

export interface BareGuest {
  /** Settings of an inventory, each a line: kernel, initramfs and disk. */
  readonly settings: readonly string[];
}

/** Makes `initrd` and `disk.raw` in `directory`. `fill` puts the system into its root, which has busybox in /usr/bin. */
export async function makeBareGuest(directory: string, firstBoot: string, fill: (root: string) => Promise<void>): Promise<BareGuest> {
  const kernel = findKernel();
  if (kernel === undefined) throw new Error('the kernel is not there: slicer image build');
  const { program, directory: busybox, applets } = await ensureBusybox();
  const text = (path: string, content: string): CpioEntry => ({ type: 'file', path, mode: 0o755, data: Buffer.from(content) });
  writeFileSync(join(directory, 'initrd'), cpioArchive([
    ...['.', 'dev', 'proc', 'root', 'sys', 'usr', 'usr/bin', 'usr/lib'].map((path): CpioEntry => ({ type: 'directory', path, mode: 0o755 })),
    ...[['bin', 'usr/bin'], ['sbin', 'usr/bin'], ['lib', 'usr/lib'], ...INIT_APPLETS.map((name) => [`usr/bin/${name}`, 'busybox'])]
      .map(([path, target]): CpioEntry => ({ type: 'symlink', path: path as string, target: target as string })),
    { type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', path: 'usr/bin/busybox', mode: 0o755, data: program },
    text('init', INIT),
    ...await moduleFiles(kernel.diskModuleRoot),
  ]));

  const root = mkdtempSync(join(tmpdir(), 'slicer-root-'));
  try {
    for (const path of ['dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp', 'var', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64']) mkdirSync(join(root, path), { recursive: true });
    for (const path of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${path}`, join(root, path));
    await fill(root);
    if (!existsSync(join(root, 'usr/bin/busybox'))) copyFileSync(join(busybox, 'busybox'), join(root, 'usr/bin/busybox'));
    for (const name of applets) {
      if (['usr/bin', 'usr/sbin'].every((place) => !existsSync(join(root, place, name)))) symlinkSync('busybox', join(root, 'usr/bin', name));
    }
    put(root, 'sbin/init', undefined);
    put(root, 'etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
    put(root, 'etc/group', 'root:x:0:\n');
    put(root, 'root/first-boot', firstBoot);
    copyFileSync(join(ROOT, 'build/slicer-agent-x86_64'), join(root, 'root/slicer-agent'));
    chmodSync(join(root, 'root/slicer-agent'), 0o755);
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', root, join(directory, 'disk.raw'), '128M']);
  } finally {
    rmSync(root, { recursive: true });
  }
  return { settings: [`kernel: ${kernel.lowInitrd}`, 'initrd: initrd', 'cmdline: console=ttyS0 quiet panic=-1', 'mem: 192', 'volumes: [{image: disk.raw, autoCreate: false}]'] };
}

/** A file of the guest; undefined: a link to busybox. */
export function put(root: string, path: string, content: string | undefined, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  if (content === undefined) return existsSync(join(root, path)) ? undefined : symlinkSync('/usr/bin/busybox', join(root, path));
  writeFileSync(join(root, path), content, { mode });
}

/** An inventory of this one guest, `guest`, whose secret `key` is the file of that name. */
export const inventoryOf = ({ settings }: BareGuest): string => `instances:
  guest:
    roles:
      guest:
        machines:
          here:
            settings:
${settings.map((line) => `              ${line}\n`).join('')}              runtimeSecrets: {key: {secretPath: key, deliver: live}}
`;
