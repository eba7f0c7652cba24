import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { SYSTEMD_UNITS } from '../../agent/units.ts';
import { findCommand } from '../../image/command.ts';
import { debianFiles } from '../../image/debian-files.ts';
import { findDebianImage } from '../../image/debian.ts';
import { DEBIAN_PACKAGES } from '../../image/debian-root.ts';
import { MISSING_DEBIAN } from '../vm/parts.ts';

const SCRIPTS = join(import.meta.dirname, '../../image/debian');
const TIMEOUT_MS = 60_000;

const skip = MISSING_DEBIAN;
const debugfs = findCommand('debugfs');

/** What debugfs(8) says of the disk, which it reads without mounting it. */
async function onDisk(request: string): Promise<string> {
  const [disk] = (await findDebianImage()).disks;
  return execFileSync(debugfs as string, ['-R', request, disk as string], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

const namesIn = async (directory: string): Promise<string[]> =>
  (await onDisk(`ls -p ${directory}`)).split('\n').map((line) => line.split('/')[5] ?? '').filter((name) => !['', '.', '..'].includes(name));

test('a directory stands before what it holds, and is what it is in Debian: root\'s, open to all', async () => {
  const entries = await debianFiles({ program: Buffer.from('busybox'), agent: Buffer.from('agent'), scripts: SCRIPTS });
  const seen = new Set<string>();
  for (const entry of entries) {
    const parent = entry.path.slice(0, Math.max(entry.path.lastIndexOf('/'), 0));
    assert.ok(parent === '' || seen.has(parent), `${entry.path} comes before its directory`);
    if (entry.type === 'directory') {
      assert.equal(entry.mode, 0o755, entry.path);
      seen.add(entry.path);
    }
    assert.equal((entry.uid ?? 0) + (entry.gid ?? 0), 0, entry.path);
  }
  assert.equal(new Set(entries.map(({ path }) => path)).size, entries.length, 'a path is there twice');
});

test('the agent is made part of the boot by the same files as slicer-agent install does', async () => {
  const entries = await debianFiles({ program: Buffer.from('busybox'), agent: Buffer.from('agent'), scripts: SCRIPTS });
  const inImage = new Map(entries.map((entry) => [entry.path, entry]));
  for (const { path, mode, text: content } of SYSTEMD_UNITS.files) {
    const entry = inImage.get(`image${path}`);
    assert.deepEqual(entry?.type === 'file' ? [entry.mode, entry.data.toString()] : undefined, [mode, content], path);
  }
  for (const { path, target } of SYSTEMD_UNITS.links) {
    const entry = inImage.get(`image${path}`);
    assert.equal(entry?.type === 'symlink' ? entry.target : undefined, target, path);
  }
});

const onDiskToo = { skip: skip || (debugfs === undefined ? 'debugfs is missing: apt-get install e2fsprogs' : false) };

test('the disk has every package set up, and a system that nobody has logged in to', onDiskToo, async () => {
  const status = await onDisk('cat /var/lib/dpkg/status');
  const packages = status.trim().split('\n\n').map((paragraph) => ({
    name: /^Package: (.*)$/m.exec(paragraph)?.[1], state: /^Status: (.*)$/m.exec(paragraph)?.[1],
  }));
  assert.deepEqual(packages.filter(({ state }) => state !== 'install ok installed'), []);
  const names = packages.map(({ name }) => name);
  assert.deepEqual(DEBIAN_PACKAGES.filter((name) => !names.includes(name)), []);
  assert.deepEqual(names.filter((name) => name?.includes('ssh')), []);
  const shadow = (await onDisk('cat /etc/shadow')).trim().split('\n').map((line) => line.split(':').slice(0, 2));
  assert.deepEqual(shadow.filter(([, password]) => !/^!?\*?$/.test(password as string) || password === ''), []);
  assert.match(await onDisk('cat /etc/passwd'), /^ubuntu:x:1000:1000:/m);
});

test('the disk has nothing that two guests must not share, and nothing of the machine that made it', onDiskToo, async () => {
  assert.equal(await onDisk('cat /etc/machine-id'), '');
  const unwanted = { '/etc': ['hostname', 'resolv.conf'], '/var/lib/systemd': ['random-seed'] };
  for (const [directory, names] of Object.entries(unwanted)) {
    assert.deepEqual((await namesIn(directory)).filter((name) => names.includes(name)), []);
  }
  for (const directory of ['/dev', '/run', '/tmp', '/var/tmp', '/var/log', '/var/cache/apt', '/usr/share/doc', '/usr/share/man']) {
    assert.deepEqual(await namesIn(directory), [], directory);
  }
});

test('the disk has the modules of its kernel, and the index by which udev and systemd find them', onDiskToo, async () => {
  const releases = await namesIn('/usr/lib/modules');
  assert.equal(releases.length, 1);
  const files = await namesIn(`/usr/lib/modules/${releases[0]}`);
  assert.deepEqual(['modules.dep.bin', 'modules.alias.bin', 'modules.builtin.bin'].filter((name) => !files.includes(name)), []);
  // These every boot loads: they cost no time to unpack.
  assert.ok((await namesIn(`/usr/lib/modules/${releases[0]}/kernel/drivers/firmware`)).includes('qemu_fw_cfg.ko'));
});

test('the disk takes the room of what is in it, not of its size', { skip }, async () => {
  const { size, blocks } = statSync((await findDebianImage()).disks[0] as string);
  assert.ok(blocks * 512 < 200e6, `${blocks * 512} bytes`);
  assert.ok(blocks * 512 < size);
});

test('a guest without the disk says so and ends', { skip, timeout: TIMEOUT_MS }, async () => {
  const { kernel, initrd, cmdline } = await findDebianImage();
  const qemu = spawn('qemu-system-x86_64', [
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '256',
    '-machine', 'q35,accel=tcg', '-cpu', 'max,-cx16', '-kernel', kernel, '-initrd', initrd, '-append', cmdline,
    '-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console',
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  const timer = setTimeout(() => qemu.kill('SIGKILL'), TIMEOUT_MS - 5_000);
  const [console, [code]] = await Promise.all([text(qemu.stdout), once(qemu, 'exit')]);
  clearTimeout(timer);
  assert.match(console, /slicer: the image can't start: no disk has the label slicer-debian/);
  assert.equal(code, 0);
});
