// The daemon is killed again and again while secrets change: what it acknowledged stays, and guests end
// with what the store holds.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../crash/sample.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';
import { changeByHand, ROUNDS, untilEqual } from './storm.ts';

const fixture = withSlicer(oneGroup(), { prepare: async (slicer) => slicer.put('storm-0', 'begin') });
const { skip } = fixture;
const isGranted = (name: string): boolean => name === 'storm-0' || name === 'storm-1';

test(`a daemon that is killed ${ROUNDS} times while secrets change loses none and mixes none up`, { skip }, async () => {
  const { slicer } = fixture;
  const random = randomFrom(20251208);
  slicer.put('storm-1', 'begin');
  const [all, some] = [await slicer.launch(), await slicer.launch('--secret=storm-0,storm-1')];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const value = `acknowledged ${round}`;
    const { status } = await slicer.api('PATCH', '/secrets/storm-0', { data: Buffer.from(value).toString('base64') });
    assert.equal(status, 200);
    const killed = delay(random() * 300).then(() => slicer.stop('SIGKILL'));
    for (let change = 0; change < 10; change += 1) {
      // storm-0 changes through the API alone, so that what was acknowledged is known.
      const kept = readFileSync(slicer.path('.secrets/storm-0'));
      changeByHand(slicer, random);
      slicer.put('storm-0', kept);
      await delay(random() * 20);
    }
    await killed;
    assert.equal(readFileSync(slicer.path('.secrets/storm-0'), 'utf8'), value);
    await slicer.start();
    if (round % 10 !== 0 && round !== ROUNDS) continue;
    await untilEqual(slicer, all, () => true);
    await untilEqual(slicer, some, isGranted);
  }
  assert.deepEqual(readdirSync(slicer.path('.secrets')).filter((name) => name.startsWith('.')), []);
});
