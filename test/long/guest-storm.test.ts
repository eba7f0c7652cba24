// The agent is killed, the guest restarts, its VSOCK process is killed, again and again, while secrets change:
// each time the guest ends with what the store holds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LIVE_LIMITS } from '../../src/live/limits.ts';
import { randomFrom } from '../crash/sample.ts';
import { isVsockDevice, processesOf } from '../vm/processes.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';
import { changeByHand, ROUNDS, untilEqual } from './storm.ts';

const fixture = withSlicer(oneGroup(), { prepare: async (slicer) => slicer.put('storm-0', 'begin') });
const { skip } = fixture;

test(`an agent that is killed ${ROUNDS} times while secrets change brings the guest to what the store holds`, { skip }, async () => {
  const { slicer } = fixture;
  const random = randomFrom(8);
  const vm = await slicer.launch();
  for (let round = 1; round <= ROUNDS; round += 1) {
    await slicer.run(['vm', 'exec', vm, '--shell', '--', 'kill -9 $(pidof slicer-agent)']);
    for (let change = 0; change < 20; change += 1) changeByHand(slicer, random);
    await untilEqual(slicer, vm, () => true);
  }
});

test(`a guest that restarts ${Math.ceil(ROUNDS / 10)} times while secrets change comes back with what the store holds`, { skip }, async () => {
  const { slicer } = fixture;
  const random = randomFrom(12);
  for (let round = 1; round <= Math.ceil(ROUNDS / 10); round += 1) {
    await slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', 'echo b > /proc/sysrq-trigger'], { limitMs: 30_000 });
    for (let change = 0; change < 20; change += 1) changeByHand(slicer, random);
    await untilEqual(slicer, 'vm-1', () => true);
  }
});

/** Asks the guest for a command every 0.2 s, whatever comes of it, until the returned function is called. */
function commandAfterCommand(vm: string): () => Promise<void> {
  const asked: Promise<unknown>[] = [];
  const timer = setInterval(() => asked.push(fixture.slicer.api('POST', `/vm/${vm}/exec?buffered=true&cmd=true`).catch(() => undefined)), 200);
  return async () => {
    clearInterval(timer);
    await Promise.all(asked);
  };
}

test(`a guest that restarts ${Math.ceil(ROUNDS / 5)} times under a command every 0.2 s can be reached after each`, { skip }, async (t) => {
  const { slicer } = fixture;
  const random = randomFrom(21);
  for (let round = 1; round <= Math.ceil(ROUNDS / 5); round += 1) {
    const stop = commandAfterCommand('vm-1');
    try {
      await delay(random() * 400);
      await slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', 'echo b > /proc/sysrq-trigger']);
      for (let change = 0; change < 20; change += 1) changeByHand(slicer, random);
      await untilEqual(slicer, 'vm-1', () => true);
    } finally {
      await stop();
    }
    await untilEqual(slicer, 'vm-1', () => true);
  }
  t.diagnostic(`in all: its VSOCK process was replaced ${slicer.daemonOutput.split('has taken its place').length - 1} times`);
});

test(`a guest whose VSOCK process is killed ${Math.ceil(ROUNDS / 5)} times while secrets change ends with what the store holds`, { skip }, async () => {
  const { slicer } = fixture;
  const random = randomFrom(22);
  for (let round = 1; round <= Math.ceil(ROUNDS / 5); round += 1) {
    for (let change = 0; change < 10; change += 1) changeByHand(slicer, random);
    const device = processesOf(slicer.path('.slicer/vms/vm-1')).find(isVsockDevice);
    if (device !== undefined) process.kill(device.pid, 'SIGKILL');
    for (let change = 0; change < 10; change += 1) {
      changeByHand(slicer, random);
      await delay(random() * 200);
    }
    await untilEqual(slicer, 'vm-1', () => true);
    // More than five within a minute wait for their turn.
    await delay(13_000);
  }
});

test('a guest that is paused for longer than every time-out of host and agent ends with what the store holds', { skip }, async () => {
  const { slicer } = fixture;
  const random = randomFrom(23);
  const vmm = processesOf(slicer.path('.slicer/vms/vm-1')).find(({ cmdline }) => cmdline.includes('qemu-system'))?.pid as number;
  process.kill(vmm, 'SIGSTOP');
  try {
    // The longest is that of an idle connection.
    for (const end = Date.now() + LIVE_LIMITS.idleMs + 30_000; Date.now() < end; await delay(1_000)) changeByHand(slicer, random);
    const { exitCode, stderr } = await slicer.run(['vm', 'exec', 'vm-1', '--', 'true']);
    assert.deepEqual([exitCode, /does not answer|no session yet/.test(stderr)], [1, true], stderr);
  } finally {
    process.kill(vmm, 'SIGCONT');
  }
  await untilEqual(slicer, 'vm-1', () => true);
});
