import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatEtag, parseEtag } from '../../src/wire/generation.ts';

const generation = fc.record({
  epoch: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 }),
  counter: fc.maxSafeNat(),
}, { noNullPrototype: true });

test('every generation survives the way through an ETag', () => {
  fc.assert(fc.property(generation, (value) => {
    assert.deepEqual(parseEtag(formatEtag(value)), value);
  }));
});

test('an ETag is read in exactly one form', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), generation.map(formatEtag).map((text) => `${text} `)), (text) => {
    const parsed = parseEtag(text);
    if (parsed !== undefined) assert.equal(formatEtag(parsed), text);
  }));
});

const refused = [
  '', '*', '"0123456789abcdef"', '0123456789abcdef.1', 'W/"0123456789abcdef.1"', '"0123456789ABCDEF.1"',
  '"0123456789abcdef.01"', '"0123456789abcdef.-1"', '"0123456789abcdef.9007199254740992"',
  '"0123456789abcdef.1", "0123456789abcdef.2"', '"0123456789abcdef.1"\n', '"0123456789abcde.1"',
];
for (const text of refused) {
  test(`the entity tag ${JSON.stringify(text)} is none of ours`, () => {
    assert.equal(parseEtag(text), undefined);
  });
}
