import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TokenBucket } from '../../src/live/token-bucket.ts';

test('never more than a burst and the rate pass, however the attempts are spread', () => {
  const attempts = fc.array(fc.nat({ max: 3000 }), { maxLength: 200 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 50 }), attempts, (burst, perSecond, gaps) => {
    let now = 0;
    const bucket = new TokenBucket({ burst, perSecond }, () => now);
    const passed: number[] = [];
    for (const gap of gaps) {
      now += gap;
      if (bucket.take() === 0) passed.push(now);
    }
    passed.forEach((start, first) => passed.slice(first).forEach((end, offset) => {
      assert.ok(offset + 1 <= burst + ((end - start) / 1000) * perSecond + 1e-6);
    }));
  }), { numRuns: 50 });
});

test('who waits as long as he was told passes', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 5 }), fc.double({ min: 0.01, max: 100, noNaN: true }), (burst, perSecond) => {
    let now = 0;
    const bucket = new TokenBucket({ burst, perSecond }, () => now);
    for (let index = 0; index < burst; index += 1) assert.equal(bucket.take(), 0);
    const waitMs = bucket.take();
    assert.ok(waitMs > 0);
    now += waitMs;
    assert.equal(bucket.take(), 0);
  }));
});

test('who takes more than a burst at once waits for a full one, and no longer', () => {
  let now = 0;
  const bucket = new TokenBucket({ burst: 10, perSecond: 5 }, () => now);
  assert.equal(bucket.take(0), 0);
  assert.equal(bucket.take(1000), 0);
  assert.equal(bucket.take(0), 0);
  const waitMs = bucket.take(1000);
  assert.equal(waitMs, 2000);
  now += waitMs;
  assert.equal(bucket.take(1000), 0);
});

test('who owes waits the longer, up to twice the time that a burst takes', () => {
  let now = 0;
  const bucket = new TokenBucket({ burst: 10, perSecond: 5 }, () => now);
  bucket.owe(12);
  assert.equal(bucket.take(), 600);
  bucket.owe(1000);
  assert.equal(bucket.take(), 2200);
  now += 2200;
  assert.equal(bucket.take(), 0);
});
