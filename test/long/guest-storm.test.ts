// The agent is killed and the guest restarts, again and again, while secrets change: each time the guest
// ends with what the store holds.
import { test } from 'node:test';
import { oneGroup, withSlicer } from '../vm/slicer.ts';
import { changeByHand, randomFrom, ROUNDS, untilEqual } from './storm.ts';

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
