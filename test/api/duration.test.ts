import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DURATION_MAX_MS, formatDurationMs, parseDurationMs } from '../../src/api/duration.ts';

for (const [text, expectedMs] of [
  ['30s', 30_000], ['1m30s', 90_000], ['500ms', 500], ['0', 0], ['0s', 0], ['1.5s', 1500], ['.5s', 500], ['1.s', 1000],
  ['1h', 3_600_000], ['24h', DURATION_MAX_MS], ['1h0m0s', 3_600_000], ['100us', 1], ['1µs', 1], ['1μs', 1], ['1000000ns', 1], ['1s1ms', 1001],
] as const) {
  test(`${text} is ${expectedMs} ms, as Go has it`, () => assert.equal(parseDurationMs(text), expectedMs));
}

for (const text of ['', '30', 's', '.s', '-30s', '+30s', '30 s', '30S', '1d', '30s ', '1e3s', '24h1ms', '٣s', `${'0s'.repeat(60)}`]) {
  test(`${JSON.stringify(text)} is no duration`, () => assert.equal(parseDurationMs(text), undefined));
}

test('what is formatted reads back as the same number', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: DURATION_MAX_MS }), (durationMs) => {
    assert.equal(parseDurationMs(formatDurationMs(durationMs)), durationMs);
  }));
});

for (const [durationMs, text] of [[0, '0ms'], [500, '500ms'], [30_000, '30s'], [90_000, '1m30s'], [3_600_000, '1h'], [3_661_500, '1h1m1.5s']] as const) {
  test(`${durationMs} ms is written ${text}`, () => assert.equal(formatDurationMs(durationMs), text));
}

test('a duration is read back as it was written, though no float is a thousandth', () => {
  for (const durationMs of [4001, 1001, 86_399_999, 61_003, 999]) assert.equal(parseDurationMs(formatDurationMs(durationMs)), durationMs);
  assert.equal(parseDurationMs('1ns'), 1);
  assert.equal(parseDurationMs('1000001ns'), 2);
});
