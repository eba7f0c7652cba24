// The daemon may go and come back; VMs stay. And when it is told to stop, nothing stays.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isAlive, processesOf, untilEnded, untilGone } from './processes.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const fixture = withSlicer(oneGroup(), {
  prepare: async (slicer) => {
    slicer.put('granted', 'first value');
    slicer.put('other', 'not for vm-1');
  },
});
const { skip } = fixture;

const vmm = (hostname: string): number =>
  processesOf(fixture.slicer.path('.slicer/vms', hostname)).find(({ cmdline }) => cmdline.includes('qemu-system'))?.pid as number;

test('a daemon that is killed leaves VMs running, and the next one adopts them', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch('--secret=granted', '--tag=kept'), 'vm-1');
  const pid = vmm('vm-1');
  await slicer.inGuest('vm-1', 'touch /tmp/same-boot');
  assert.equal(await slicer.stop('SIGKILL'), null);
  assert.ok(isAlive(pid));
  await slicer.start();
  const [vm] = (await slicer.api('GET', '/nodes')).body;
  assert.deepEqual([vm.hostname, vm.status, vm.secrets, vm.tags], ['vm-1', 'Running', ['granted'], ['kept']]);
  assert.equal(vmm('vm-1'), pid);
});

test('an adopted VM gets changes, keeps its grant and runs commands', { skip }, async () => {
  const { slicer } = fixture;
  const { stderr } = await slicer.run(['secret', 'update', 'granted'], { stdin: 'second value' });
  assert.match(stderr, /1 of 1/);
  await slicer.ok(['secret', 'create', 'later'], { stdin: 'not for vm-1 either' });
  assert.equal(await slicer.inGuest('vm-1', 'cd /run/slicer/secrets && ls && cat granted && ls /tmp/same-boot'), 'granted\nsecond value/tmp/same-boot\n');
});

test('what changed while no daemon ran is delivered by the next one', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.stop('SIGKILL');
  slicer.put('granted', 'third value');
  await slicer.start();
  await slicer.untilInGuest('vm-1', '[ "$(cat /run/slicer/secrets/granted)" = "third value" ]');
});

test('a VM that died while no daemon ran is shown as failed, and what it left is cleared', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch('--no-secrets'), 'vm-2');
  const pid = vmm('vm-2');
  await slicer.stop('SIGKILL');
  process.kill(pid, 'SIGKILL');
  await untilEnded(pid);
  await slicer.start();
  const nodes = (await slicer.api('GET', '/nodes')).body as { hostname: string; status: string }[];
  assert.deepEqual(nodes.map(({ hostname, status }) => [hostname, status]), [['vm-1', 'Running'], ['vm-2', 'Failed']]);
  assert.deepEqual(processesOf(slicer.path('.slicer/vms/vm-2')), []);
  assert.deepEqual(slicer.runtimeDirectories().flatMap((directory) => readdirSync(directory)), ['vm-1']);
  await slicer.ok(['vm', 'delete', 'vm-2']);
});

test('a second daemon in the same directory is refused', { skip }, async () => {
  const { exitCode, stderr } = await fixture.slicer.run(['up']);
  assert.notEqual(exitCode, 0);
  assert.match(stderr, /^slicer: error: /m);
  assert.equal(await fixture.slicer.inGuest('vm-1', 'echo still served'), 'still served\n');
});

test('SIGTERM with --keep-vms leaves VMs to the next daemon', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.stop('SIGKILL');
  await slicer.start('--keep-vms');
  const pid = vmm('vm-1');
  assert.equal(await slicer.stop('SIGTERM'), 0);
  assert.ok(isAlive(pid));
  await slicer.start();
  assert.equal(vmm('vm-1'), pid);
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/granted'), 'third value');
});

test('SIGTERM stops all VMs and leaves no process, no socket and no directory', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.launch('--no-secrets');
  assert.equal(await slicer.stop('SIGTERM'), 0);
  assert.deepEqual(await untilGone(slicer.directory), []);
  assert.deepEqual(slicer.runtimeDirectories(), []);
  assert.deepEqual(readdirSync(slicer.path('.slicer/vms')), []);
  assert.ok(!readdirSync(slicer.directory).includes('slicer.sock'));
});
