// What a guest writes to its console, and what becomes of a VM whose guest starts again, powers off or dies.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { eventually } from './patience.ts';
import { processesOf, untilEnded } from './processes.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const MIB = 1024 * 1024;

const fixture = withSlicer(oneGroup(), { prepare: async (slicer) => slicer.put('api-key', 'my-api-key') });
const { skip } = fixture;

async function untilStatus(hostname: string, status: string): Promise<any> {
  let vm: any;
  await eventually(() => `vm ${hostname} is ${status}, and not ${JSON.stringify(vm)}`, async () => {
    vm = (await fixture.slicer.api('GET', '/nodes')).body.find((each: { hostname: string }) => each.hostname === hostname);
    return vm?.status === status;
  });
  return vm;
}

function vmmOf(hostname: string): number {
  const vmm = processesOf(fixture.slicer.path('.slicer/vms', hostname)).find(({ cmdline }) => cmdline.includes('qemu-system'));
  assert.ok(vmm);
  return vmm.pid;
}

test('vm logs shows the last lines, without what could steer a terminal', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-1');
  await slicer.inGuest('vm-1', "printf 'first\\nred \\033[31mtext\\033[0m\\rover \\302\\233title\\nlast\\n' > /dev/console");
  // The console is a serial line: what was written is on its way.
  let shown = '';
  for (let round = 0; round < 100 && !shown.endsWith('last\n'); round += 1) shown = await slicer.ok(['vm', 'logs', 'vm-1', '--lines=3']);
  const [, red, last] = shown.trimEnd().split('\n');
  assert.equal(red, 'red \\x1b[31mtext\\x1b[0m\\x0dover \\x9btitle');
  assert.equal(last, 'last');
  const raw = await slicer.ok(['vm', 'logs', 'vm-1', '--lines=3', '--raw']);
  assert.ok(raw.includes('\x1b[31mtext'));
  assert.equal((await slicer.ok(['vm', 'logs', 'vm-1', '--lines=1'])), 'last\n');
});

test('the log of a guest that writes without end is bounded on disk, and keeps the newest', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.inGuest('vm-1', 'head -c 1600000 /dev/zero | tr "\\0" x | fold -w 99 > /dev/console; (echo; echo the newest line) > /dev/console');
  let newest = '';
  for (let round = 0; round < 100 && newest !== 'the newest line\n'; round += 1) newest = await slicer.ok(['vm', 'logs', 'vm-1', '--lines=1']);
  assert.equal(newest, 'the newest line\n');
  const sizes = readdirSync(slicer.path('.slicer/vms/vm-1')).filter((name) => name.startsWith('console'))
    .map((name) => statSync(slicer.path('.slicer/vms/vm-1', name)).size);
  const kept = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(kept > MIB / 4 && kept <= MIB, `${kept} bytes are kept`);
});

test('a guest that restarts comes back with its secrets, and takes changes and commands', { skip }, async () => {
  const { slicer } = fixture;
  const pid = vmmOf('vm-1');
  const starts = async (): Promise<number> => (await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0'])).split('slicer-agent: holds').length - 1;
  for (const restart of ['reboot', 'echo b > /proc/sysrq-trigger']) {
    await slicer.inGuest('vm-1', 'touch /tmp/before-restart');
    const before = await starts();
    // The guest ends before it can say how the command did.
    const ended = slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', restart]);
    await eventually('the agent says again what it holds', async () => await starts() > before);
    await ended;
    assert.equal(await slicer.inGuest('vm-1', 'ls /tmp/before-restart 2>/dev/null || cat /run/slicer/secrets/api-key'), 'my-api-key');
    const { stderr } = await slicer.run(['secret', 'update', 'api-key'], { stdin: `after ${restart}` });
    assert.match(stderr, /1 of 1/);
    assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key'), `after ${restart}`);
    await slicer.ok(['secret', 'update', 'api-key'], { stdin: 'my-api-key' });
  }
  assert.equal(vmmOf('vm-1'), pid, 'it is the same VM');
});

test('a VM whose guest powers off is shown as stopped, and another is not touched', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-2');
  await slicer.run(['vm', 'exec', 'vm-2', '--', 'poweroff']);
  const vm = await untilStatus('vm-2', 'Stopped');
  assert.match(vm.error, /powered/);
  assert.equal((await slicer.run(['vm', 'exec', 'vm-2', '--', 'true'])).exitCode, 5);
  assert.equal(await slicer.inGuest('vm-1', 'echo here'), 'here\n');
  await slicer.ok(['vm', 'delete', 'vm-2']);
});

test('a VM whose VMM is killed is shown as failed, with its last console lines', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-2');
  await slicer.inGuest('vm-2', 'echo these were my last words > /dev/console');
  await eventually('the console has the last words', async () => /last words/.test(await slicer.ok(['vm', 'logs', 'vm-2', '--lines=2'])));
  const pid = vmmOf('vm-2');
  process.kill(pid, 'SIGKILL');
  await untilEnded(pid);
  const vm = await untilStatus('vm-2', 'Failed');
  assert.match(vm.error, /SIGKILL/);
  assert.match(vm.console, /these were my last words/);
  const { stdout, stderr } = await slicer.run(['vm', 'list']);
  assert.match(stdout, /^vm-2 .*Failed/m);
  assert.match(stderr, /vm-2 failed: .*SIGKILL/);
  assert.match(stderr, /these were my last words/);
  assert.match(await slicer.ok(['vm', 'logs', 'vm-2']), /these were my last words/);
  assert.deepEqual(processesOf(slicer.path('.slicer/vms/vm-2')), []);
});

test('a failed VM is deleted like any other, and its name is free again', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.ok(['vm', 'delete', 'vm-2']);
  assert.deepEqual(readdirSync(slicer.path('.slicer/vms')), ['vm-1']);
  assert.equal(await slicer.launch('--no-secrets'), 'vm-2');
});

test('core dumps are off for the daemon and every process of a VM', { skip }, async () => {
  const { slicer } = fixture;
  const ours = processesOf(slicer.directory);
  assert.ok(ours.some(({ pid }) => pid === slicer.daemonPid));
  for (const { pid, cmdline } of ours) {
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m, `core dumps of ${cmdline}`);
  }
});

test('no shell runs between Slicer and a VMM', { skip }, async () => {
  for (const { cmdline } of processesOf(fixture.slicer.path('.slicer/vms'))) {
    assert.doesNotMatch(cmdline.toString(), /^(\/usr)?(\/bin\/)?(ba|da)?sh\0/);
  }
});
