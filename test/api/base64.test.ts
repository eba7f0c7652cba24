import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, encodeBase64 } from '../../src/api/base64.ts';

test('any bytes come back as they went in', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    assert.deepEqual(new Uint8Array(decodeBase64(encodeBase64(bytes)) as Uint8Array), bytes);
  }));
});

test('what decodes encodes to the same text: a value has one spelling', () => {
  const nearly = fc.string({ unit: fc.constantFrom(...'AQUJz9+/=-_ \n'), maxLength: 12 });
  fc.assert(fc.property(nearly, (text) => {
    const bytes = decodeBase64(text);
    if (bytes !== undefined) assert.equal(encodeBase64(bytes), text);
  }), { numRuns: 2000 });
});

for (const [what, text] of [
  ['no padding', 'QQ'],
  ['too much padding', 'QUI=='],
  ['padding in the middle', 'QQ==QQ=='],
  ['bits that the padding leaves over', 'QR=='],
  ['the alphabet for URLs', '-_-_'],
  ['a line break', 'QUJD\n'],
  ['a blank', 'QU JD'],
  ['characters of no alphabet', 'QUJ$'],
] as const) {
  test(`${what} is no base64 (${JSON.stringify(text)})`, () => assert.equal(decodeBase64(text), undefined));
}

test('an empty text is no bytes', () => assert.equal(decodeBase64('')?.byteLength, 0));
