// What disturbs a VM that runs: its clock jumps, it is paused, its VSOCK process dies. It ends with the newest values.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './patience.ts';
import { isVsockDevice, processesOf, untilEnded } from './processes.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const fixture = withSlicer(oneGroup(), { prepare: async (slicer) => slicer.put('api-key', 'old value') });
const { skip } = fixture;

function vsockOf(vm: string): number {
  const device = processesOf(fixture.slicer.path('.slicer/vms', vm)).find(isVsockDevice);
  assert.ok(device, `${vm} has a VSOCK process`);
  return device.pid;
}

async function kill(vm: string): Promise<void> {
  const pid = vsockOf(vm);
  process.kill(pid, 'SIGKILL');
  await untilEnded(pid);
}

test('a guest whose clock is set forward and back gets each change, and nothing goes back', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-1');
  for (const date of ['2040-01-01 00:00', '1990-01-01 00:00', '2037-12-31 23:59']) {
    await slicer.inGuest('vm-1', `date -u -s '${date}'`);
    const { stderr } = await slicer.run(['secret', 'update', 'api-key', '--wait=60s'], { stdin: `after ${date}` });
    assert.match(stderr, /1 of 1/);
    assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key; ls -A /run/slicer/secrets'), `after ${date}api-key\n`);
  }
});

test('a guest that is paused while secrets change has the newest when it goes on', { skip }, async () => {
  const { slicer } = fixture;
  const vmm = processesOf(slicer.path('.slicer/vms/vm-1')).find(({ cmdline }) => cmdline.includes('qemu-system'))?.pid as number;
  process.kill(vmm, 'SIGSTOP');
  try {
    slicer.put('added', 'meanwhile');
    const { stderr } = await slicer.run(['secret', 'update', 'api-key', '--wait=1s'], { stdin: 'while it was paused' });
    assert.match(stderr, /0 of 1/);
    slicer.put('api-key', 'and once more');
  } finally {
    process.kill(vmm, 'SIGCONT');
  }
  await slicer.untilHolds('vm-1');
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/*; ls -A /run/slicer/secrets'), 'meanwhileand once moreadded\napi-key\n');
  await slicer.ok(['secret', 'remove', 'added']);
});

test('a q35 VM whose VSOCK process is killed gets another, and its guest the newest values and whole files', { skip }, async () => {
  const { slicer } = fixture;
  const before = await slicer.inGuest('vm-1', 'cat /proc/sys/kernel/random/boot_id; pidof slicer-agent');
  await kill('vm-1');
  await slicer.ok(['secret', 'update', 'api-key', '--wait=60s'], { stdin: 'new value' });
  await slicer.untilHolds('vm-1');
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key; ls -A /run/slicer/secrets'), 'new valueapi-key\n');
  assert.equal(await slicer.inGuest('vm-1', 'cat /proc/sys/kernel/random/boot_id; pidof slicer-agent'), before, 'the guest and its agent ran on');
  assert.match(slicer.daemonOutput, /the VSOCK device of vm \\"vm-1\\" was ended by SIGKILL; another has taken its place/);
});

test('a daemon mends a VM that it adopted, and one whose VSOCK process died while no daemon ran', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.stop('SIGKILL');
  slicer.put('api-key', 'changed by hand');
  await kill('vm-1');
  await slicer.start();
  await slicer.untilHolds('vm-1');
  await kill('vm-1');
  slicer.put('api-key', 'changed again');
  await eventually('the guest has it', async () =>
    (await slicer.run(['vm', 'exec', 'vm-1', '--', 'cat', '/run/slicer/secrets/api-key'])).stdout === 'changed again');
});

test('a microvm whose VSOCK process is killed is shown as failed, with why and what to do', { skip }, async () => {
  const { slicer } = fixture;
  const vm = await slicer.launch('--machine=microvm');
  await kill(vm);
  await eventually(`${vm} has failed`, async () => /Failed/.test(await slicer.ok(['vm', 'list'])));
  const { stderr } = await slicer.run(['vm', 'list']);
  assert.match(stderr, new RegExp(`${vm} failed: its VSOCK device was ended by SIGKILL`));
  await slicer.ok(['vm', 'delete', vm]);
});
