import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { makeRandom } from '../../src/generate/random.ts';
import { makeValue } from '../../src/generate/value-spec.ts';
import { textOf } from './generate-fixture.ts';

test('base64 and hex have that many bytes, alphanumeric that many characters, and no newline', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 300 }), (length) => {
    const base64 = textOf(makeRandom({ encoding: 'base64', length }));
    assert.equal(Buffer.from(base64, 'base64').length, length);
    assert.equal(Buffer.from(base64, 'base64').toString('base64'), base64);
    assert.match(textOf(makeRandom({ encoding: 'hex', length })), new RegExp(`^[0-9a-f]{${2 * length}}$`));
    assert.match(textOf(makeRandom({ encoding: 'alphanumeric', length })), new RegExp(`^[A-Za-z0-9]{${length}}$`));
  }));
});

test('every alphanumeric character comes about as often as any other', () => {
  const counts = new Map<string, number>();
  for (const character of textOf(makeRandom({ encoding: 'alphanumeric', length: 62_000 }))) counts.set(character, (counts.get(character) ?? 0) + 1);
  assert.equal(counts.size, 62);
  // A thousand expected, with a deviation of 32: seven of them are less than one run in 10^10.
  for (const [character, count] of counts) assert.ok(Math.abs(count - 1000) < 225, `${character} ${count}`);
});

test('no two values are the same', () => {
  const values = Array.from({ length: 100 }, () => textOf(makeRandom({ encoding: 'base64', length: 16 })));
  assert.equal(new Set(values).size, values.length);
});

const GOOD: readonly (readonly [string, RegExp])[] = [
  ['random', /^[A-Za-z0-9+/]{43}=$/], ['random:32', /^[A-Za-z0-9+/]{43}=$/], ['random:8:hex', /^[0-9a-f]{16}$/],
  ['random:8:base64', /^.{11}=$/], ['random:8:alphanumeric', /^[A-Za-z0-9]{8}$/], ['password', /^[A-Za-z0-9]{24}$/],
  ['password:12', /^[A-Za-z0-9]{12}$/], ['uuid', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
];
for (const [spec, pattern] of GOOD) test(`--generate ${spec} makes a value`, () => assert.match(textOf(makeValue(spec)), pattern));

test('what is no way to make a value is refused, and not shown', () => {
  for (const spec of ['', 'hunter2', 'random:', 'random:0', 'random:65537', 'random:-1', 'random:1e3', 'random:8:octal', 'random:8:hex:', 'uuid:4', 'password:8:hex', 'RANDOM', 'age']) {
    assert.throws(() => makeValue(spec), (error: unknown) => {
      assert.ok(error instanceof SlicerError);
      assert.equal(error.message, 'expected random[:LENGTH[:base64|hex|alphanumeric]], password[:LENGTH] or uuid, LENGTH being 1 to 65536');
      return true;
    }, spec);
  }
});
