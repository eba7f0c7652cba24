// What a VMM is told, and what it inherits, where its process is a user of its own.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { atOwnedSocket, openOwnedSocket } from '../../src/socket/owned-socket.ts';
import { cloudHypervisorVmm } from '../../src/vmm/cloud-hypervisor.ts';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { firecrackerConfig } from '../../src/vmm/firecracker-config.ts';
import { firecrackerVmm } from '../../src/vmm/firecracker.ts';
import { namedByDescriptors } from '../../src/vmm/inherited-files.ts';
import { hasLandlock, landlockConfig } from '../../src/vmm/landlock.ts';
import { qemuVmm } from '../../src/vmm/qemu.ts';

const spec: VmSpec = {
  name: 'web-1', cpus: 1, ramBytes: 256 * 1024 * 1024, kernel: '/images/kernel', initrd: '/images/initrd', cmdline: 'quiet',
  volumes: [{ path: '/images/root.raw', readOnly: true }, { path: '/disks/db.raw', readOnly: false }],
  shares: [{ tag: 'data', socket: '/shares/data.sock' }],
  interfaces: [], watchdog: false, accelerator: 'kvm', guestCid: 4711, vsock: { kind: 'kernel', hostPort: 321 },
  sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/control.sock', owner: 2_080_374_785 },
  bootSlots: [{ form: 'oem-string' }],
};
const own: VmSpec = { ...spec, sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/control.sock' } };
const file = (path: string, access: 'open' | 'open-writable' | 'name' | 'content'): object => ({ kind: 'file', path, access });

test('QEMU inherits its files, disks open and the rest by name, and names no path of them', () => {
  const vmm = qemuVmm('q35', { qemu: '/usr/bin/qemu', vhostDeviceVsock: '/usr/bin/vhost', agent: '/usr/bin/agent' });
  const [, qemu] = vmm.plan(spec);
  assert.deepEqual(qemu?.descriptors, [
    { kind: 'boot-slot', index: 0 }, file('/images/kernel', 'content'), file('/images/initrd', 'content'),
    { kind: 'device', path: '/dev/vhost-vsock' }, file('/images/root.raw', 'open'), file('/disks/db.raw', 'open-writable'), file('/shares/data.sock', 'name'),
  ]);
  const argv = qemu?.argv.join(' ') ?? '';
  assert.doesNotMatch(argv, /\/(images|disks|shares)\//);
  for (const option of [
    '-smbios type=11,path=/dev/fd/3', '-kernel /proc/self/fd/4', '-initrd /proc/self/fd/5', 'guest-cid=4711,vhostfd=6,',
    '-add-fd fd=7,set=0', 'file.filename=/dev/fdset/0', '-add-fd fd=8,set=1', 'read-only=off,file.driver=file,file.filename=/dev/fdset/1', 'path=/proc/self/fd/9',
  ]) assert.ok(argv.includes(option), option);
  assert.ok(vmm.plan(own)[1]?.argv.join(' ').includes('-kernel /images/kernel -initrd /images/initrd'));
});

test('Cloud Hypervisor and Firecracker are told of descriptors in the order in which they inherit them', () => {
  const inherited = [
    file('/images/kernel', 'content'), file('/images/initrd', 'content'), file('/images/root.raw', 'name'), file('/disks/db.raw', 'name'), file('/shares/data.sock', 'name'),
  ];
  const vmms = [
    cloudHypervisorVmm({ cloudHypervisor: '/usr/bin/cloud-hypervisor', agent: '/usr/bin/agent' }, 'x86_64'), firecrackerVmm('/usr/bin/firecracker'),
  ];
  for (const vmm of vmms) {
    assert.deepEqual(vmm.plan(spec)[0]?.descriptors, inherited);
    assert.deepEqual(vmm.plan(own)[0]?.descriptors, []);
  }
  const named = firecrackerConfig(namedByDescriptors({ ...spec, shares: [] }).spec);
  assert.equal(named['boot-source'].kernel_image_path, '/proc/self/fd/3');
  assert.deepEqual(named.drives.map(({ path_on_host }) => path_on_host), ['/proc/self/fd/5', '/proc/self/fd/6']);
});

test('Landlock is asked for where the kernel has version 3 of it', () => {
  assert.equal(hasLandlock('lockdown,capability,landlock,yama,apparmor\n', '6.12.38+deb13-cloud-amd64'), true);
  assert.equal(hasLandlock('landlock', '6.2.0'), true);
  assert.equal(hasLandlock('landlock', '6.1.0-37-cloud-amd64'), false);
  assert.equal(hasLandlock('capability,yama', '6.12.0'), false);
  assert.equal(hasLandlock('', '7.0.0'), false);
  assert.deepEqual(landlockConfig(spec), { landlock_enable: true });
  assert.ok(landlockConfig({ ...spec, interfaces: [{ kind: 'tap', name: 'tap0' }] }).landlock_rules?.some(({ path }) => path === '/dev/net/tun'));
});

test('a VM\'s socket is its user\'s: a link in its place, a file, and another\'s are not connected to', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-owned-'));
  const server = createServer((socket) => socket.end('here')).listen(join(directory, 'a.sock'));
  await once(server, 'listening');
  t.after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  chmodSync(join(directory, 'a.sock'), 0o600);
  const uid = process.geteuid?.() as number;
  const socket = atOwnedSocket(join(directory, 'a.sock'), uid, (path) => connect(path));
  assert.equal(String((await once(socket, 'data'))[0]), 'here');
  assert.throws(() => openOwnedSocket(join(directory, 'a.sock'), uid + 1), { code: 'EPERM' });
  symlinkSync('a.sock', join(directory, 'link.sock'));
  assert.throws(() => openOwnedSocket(join(directory, 'link.sock'), uid), { code: 'EPERM' });
  writeFileSync(join(directory, 'file.sock'), '');
  assert.throws(() => openOwnedSocket(join(directory, 'file.sock'), uid), { code: 'EPERM' });
  assert.throws(() => openOwnedSocket(join(directory, 'none.sock'), uid), { code: 'ENOENT' });
  // Where it is not known whose it is, the path is taken as it is.
  assert.equal(atOwnedSocket(join(directory, 'link.sock'), undefined, (path) => path), join(directory, 'link.sock'));
});
