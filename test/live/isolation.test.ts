// What a guest can see of what it was not given: nothing, down to the last byte.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LiveVmOptions } from '../../src/live/contract.ts';
import { bench } from './live-vm.ts';
import { MemoryStore, secretName } from './memory-store.ts';

const SCOPE: Pick<LiveVmOptions, 'grant' | 'credentials'> = {
  grant: [secretName('granted')], credentials: [{ name: 'x', secret: secretName('source'), trimNewline: true }],
};
const OWN = ['granted', 'source'];

const change = (names: readonly string[]) => fc.record({
  name: fc.constantFrom(...names), value: fc.option(fc.string({ maxLength: 5 }), { nil: undefined }),
});
interface Change {
  readonly name: string;
  readonly value: string | undefined;
}
/** A step of this VM, and what happens to others before it. */
interface Step {
  readonly foreign: readonly Change[];
  readonly own: Change | undefined;
  readonly takesDelta: boolean;
}
const step: fc.Arbitrary<Step> = fc.record({
  foreign: fc.array(change(['a', 'b', 'granted.x']), { maxLength: 3 }),
  own: fc.option(change(OWN), { nil: undefined }),
  takesDelta: fc.boolean(),
});

const digits = () => {
  let count = 0;
  return () => String((count += 1)).padStart(64, '0');
};

test('a guest gets the same bytes, whatever happens to secrets that are not in its scope', async (t) => {
  const exchange = async (steps: readonly Step[], withForeign: boolean) => {
    const store = new MemoryStore();
    const { agent } = await bench(t, { ...SCOPE, store, randomHex: digits() });
    await agent.saw('POST /v1/challenge');
    agent.randomHex = digits();
    await agent.establish();
    for (const { foreign, own, takesDelta } of steps) {
      if (withForeign) for (const { name, value } of foreign) store.set(name, value);
      if (own !== undefined) store.set(own.name, own.value);
      if (!takesDelta) agent.generation = undefined;
      await agent.sync();
    }
    const bytes = Buffer.concat((await agent.connection()).received);
    agent.close();
    return bytes.toString('latin1');
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
    assert.equal(await exchange(steps, true), await exchange(steps, false));
  }), { numRuns: 25 });
});

test('the number of a generation grows by one when something else is sent, however much changed in between', async (t) => {
  const { store, agent } = await bench(t, { grant: [secretName('mine')] });
  await agent.establish();
  const numbers: string[] = [];
  const look = async (): Promise<void> => {
    await agent.sync();
    numbers.push(agent.generation?.split('.')[1] as string);
  };
  await look();
  for (let count = 0; count < 100; count += 1) store.set('other', `${count}`);
  await look();
  for (let count = 0; count < 100; count += 1) store.set('mine', `${count}`);
  await look();
  await look();
  store.set('mine', undefined);
  await look();
  assert.deepEqual(numbers, ['1"', '1"', '2"', '2"', '3"']);
});

test('two VMs of one store have no epoch in common', async (t) => {
  const store = new MemoryStore();
  const epochs = [];
  for (const each of [await bench(t, { store }), await bench(t, { store })]) {
    await each.agent.establish();
    await each.agent.sync();
    epochs.push(each.agent.generation?.slice(1, 17));
  }
  assert.equal(new Set(epochs).size, 2);
  for (const epoch of epochs) assert.match(epoch ?? '', /^[0-9a-f]{16}$/);
});
