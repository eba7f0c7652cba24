import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { findCommand } from '../../image/command.ts';
import { cpioArchive } from '../../image/cpio.ts';
import { ensureTinyImage, findTinyImage } from '../../image/tiny.ts';

const skip = findCommand('qemu-system-x86_64') === undefined ? 'qemu-system-x86_64 is missing: apt-get install qemu-system-x86' : false;
const BOOT_TIMEOUT_MS = 60_000;

/** Runs in the guest in the place of what would run late, says what it finds, and goes on with that. */
const PROBE = `#!/bin/sh
exec > /dev/console 2>&1
say() { name=$1; shift; echo "probe $name=$("$@" 2>&1 | tr '\\n' ' ')"; }
say hostname hostname
say addresses ip -4 -o address
say route ip route
say root stat -c %a:%u:%g /
say run stat -f -c %T /run
say home stat -c %a:%u:%g /home/ubuntu
say sudo sudo id -u
say sudo-as sudo -u ubuntu id -u
say sudo-from-user su ubuntu -c 'sudo id -u'
say shadow-from-user su ubuntu -c 'cat /etc/shadow'
say agent which slicer-agent
say setuid find / -xdev -perm /6000 -type f
echo "probe done=$(cut -d' ' -f1 /proc/uptime)"
exec /etc/init.d/late-original
`;

const found = new Map<string, string>();
let directory: string;
let qemu: ChildProcess;

before(async () => {
  if (skip) return;
  directory = mkdtempSync(join(tmpdir(), 'slicer-tiny-'));
  const image = await ensureTinyImage();
  const late = readFileSync(join(import.meta.dirname, '../../image/tiny/late'));
  // The kernel unpacks archives one after the other: later files replace earlier ones.
  const overlay = cpioArchive([
    { type: 'file', path: 'etc/init.d/late', mode: 0o755, data: Buffer.from(PROBE) },
    { type: 'file', path: 'etc/init.d/late-original', mode: 0o755, data: late },
  ]);
  const initrd = join(directory, 'initrd');
  writeFileSync(initrd, Buffer.concat([readFileSync(image.initrd), overlay]));
  qemu = spawn('qemu-system-x86_64', [
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '256',
    '-machine', 'q35,accel=tcg', '-cpu', 'max,-cx16',
    '-kernel', image.kernel, '-initrd', initrd, '-append', `${image.cmdline} slicer.hostname=web-1`,
    '-netdev', 'user,id=network', '-device', 'virtio-net-pci,netdev=network,romfile=',
    '-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console',
    '-qmp', `unix:${join(directory, 'qmp')},server=on,wait=off`,
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: qemu.stdout as NodeJS.ReadableStream });
  const timer = setTimeout(() => qemu.kill('SIGKILL'), BOOT_TIMEOUT_MS);
  for await (const line of lines) {
    const [, name, value] = /^probe ([a-z-]+)=(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, value as string);
    if (name === 'done') break;
  }
  clearTimeout(timer);
});

after(() => {
  if (skip) return;
  qemu.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

test('the image boots, with the host name and the addresses that it is given', { skip }, () => {
  assert.ok(found.has('done'), 'the guest said nothing more');
  assert.equal(found.get('hostname'), 'web-1');
  assert.match(found.get('addresses') ?? '', /lo +inet 127\.0\.0\.1\/8.*eth0 +inet 10\.0\.2\.15\/24/);
  assert.match(found.get('route') ?? '', /^default via 10\.0\.2\.2 /);
  assert.equal(found.get('run'), 'tmpfs');
});

test('sudo does for root, and raises nobody', { skip }, () => {
  assert.equal(found.get('sudo'), '0');
  assert.equal(found.get('sudo-as'), '1000');
  assert.match(found.get('sudo-from-user') ?? '', /only root/);
  assert.match(found.get('shadow-from-user') ?? '', /Permission denied/);
  assert.equal(found.get('setuid'), '');
});

test('only root can write at the top, and a home is its owner\'s', { skip }, () => {
  assert.equal(found.get('root'), '755:0:0');
  assert.equal(found.get('home'), '750:1000:1000');
  assert.match(found.get('agent') ?? '', /slicer-agent$/);
});

test('the power button ends it', { skip, timeout: BOOT_TIMEOUT_MS }, async () => {
  const exited = once(qemu, 'exit');
  const control = connect(join(directory, 'qmp'));
  control.on('error', () => undefined);
  await once(control, 'data');
  control.write('{"execute": "qmp_capabilities"}\n');
  // acpid may not listen yet: the button is pressed until somebody heard it.
  const pressing = setInterval(() => control.write('{"execute": "system_powerdown"}\n'), 500);
  const [code, signal] = await exited;
  clearInterval(pressing);
  control.destroy();
  assert.deepEqual([code, signal], [0, null]);
});

test('a built image is found, and is the one that would be built', { skip }, async () => {
  assert.deepEqual(await findTinyImage(), await ensureTinyImage());
});
