import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { guestOutput, guestText } from '../../src/live/guest-text.ts';

const anyText = fc.string({ unit: fc.oneof(
  fc.constantFrom('\0', '\n', '\r', '\t', '\x1b', '\x7f', '\x9b', '\u2028', '\u202e', '\u2066', '\ufeff', '\ud800', '\udc00'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
), maxLength: 60 });

test('a line from a guest has no controls, no broken characters and no more than its length', () => {
  fc.assert(fc.property(anyText, fc.integer({ min: 1, max: 40 }), (text, maxLength) => {
    const line = guestText(text, maxLength);
    assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
    assert.ok(line.length <= maxLength);
    assert.doesNotMatch(line, /\p{Cs}/u);
  }));
});

test('output from a guest keeps its lines and its end', () => {
  fc.assert(fc.property(anyText, fc.integer({ min: 1, max: 40 }), (text, maxLength) => {
    const output = guestOutput(text, maxLength);
    assert.doesNotMatch(output, /[^\P{Cc}\n\t]/u);
    assert.ok(output.length <= maxLength);
    assert.doesNotMatch(output, /\p{Cs}/u);
  }));
  assert.equal(guestOutput('dropped\none\n\ttwo', 8), 'one\n\ttwo');
});

test('plain text of any script passes as it is', () => {
  for (const text of ['ENOSPC', 'Gerät voll: größer als 1 MiB', '容量不足', '🙂 done']) assert.equal(guestText(text, 100), text);
});
