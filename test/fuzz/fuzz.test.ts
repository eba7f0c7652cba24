// A short form of `npm run fuzz`: the same targets, some hundreds of inputs each, from a seed that is always the
// same; and that the fuzzer finds what is there to be found, and finds it again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz, inputOf, type Target } from './engine.ts';
import { TARGETS } from './targets.ts';

const SEED = 20261122;
const COUNT = 250;

for (const target of TARGETS) {
  test(`whatever ${target.name} reads, it keeps its promises: ${target.of}`, async () => {
    const { inputs, failures } = await fuzz(target, { seed: SEED, count: COUNT });
    const replay = failures.map(({ index, error }) => `npm run fuzz ${target.name} -- --seed ${SEED} --only ${index}\n${error.stack}`);
    assert.deepEqual(replay, []);
    assert.equal(inputs, COUNT);
  });
}

const broken: Target = {
  name: 'broken',
  of: 'a parser that fails on a NUL behind a number',
  corpus: ['length=12;name=x'],
  check: (input) => assert.doesNotMatch(input.toString('latin1'), /=\d+[^]*\0/),
};

test('a fault is found, replayed by its number alone, and told with the shortest input that shows it', async () => {
  const { failures } = await fuzz(broken, { seed: 7, count: 20_000 });
  const [first] = failures;
  assert.ok(first);
  assert.equal(first.input.toString('latin1').replace(/\d/, '1'), '=1\0');
  const again = await fuzz(broken, { seed: 7, from: first.index, count: 1 });
  assert.deepEqual(again.failures[0]?.input, first.input);
  assert.deepEqual(inputOf(broken, 7, first.index), inputOf(broken, 7, first.index));
});

test('another seed makes other inputs', () => {
  const inputs = (seed: number): string => Array.from({ length: 50 }, (_, index) => inputOf(broken, seed, index).toString('latin1')).join('\n');
  assert.notEqual(inputs(1), inputs(2));
  assert.equal(inputs(1), inputs(1));
});
