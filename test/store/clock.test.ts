// The daemon's clock is set: the store takes what is newest by what happened, never by what a clock says.
import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import { test } from 'node:test';
import { systemClock, type Clock } from '../../src/store/clock.ts';
import { name, openTestStore, PRIVATE, put, secret, until, valueOf } from './store-fixture.ts';

const HOUR_MS = 60 * 60 * 1000;

/** The machine's clock, set by some hours; timers go on as they do when a clock is set. */
class SetClock implements Clock {
  offsetMs = 0;
  readonly after = systemClock.after;

  wallMs(): number {
    return systemClock.wallMs() + this.offsetMs;
  }
}

test('whatever the clock is set to, changes by the API and by hand are taken in their order, and nothing goes back', async (t) => {
  const clock = new SetClock();
  const { store, path } = await openTestStore(t, { clock });
  const counters: number[] = [];
  store.onChange(({ counter }) => void counters.push(counter));
  await store.create(name('api'), secret('0'), PRIVATE);
  put(path('hand'), '0');
  await until(store, (snapshot) => valueOf(snapshot, 'hand') === '0');
  for (const [index, hours] of [24, -24, 0, 100_000, -100_000, 1].entries()) {
    clock.offsetMs = hours * HOUR_MS;
    const value = String(index + 1);
    await store.update(name('api'), { value: secret(value) });
    put(path('hand'), value);
    // As the file system has it when the machine's own clock was set.
    const time = new Date(Math.max(0, clock.wallMs()));
    utimesSync(path('hand'), time, time);
    await until(store, (snapshot) => valueOf(snapshot, 'hand') === value);
    await store.rescan();
    assert.deepEqual([valueOf(store.snapshot(), 'api'), valueOf(store.snapshot(), 'hand')], [value, value]);
  }
  assert.deepEqual(counters, counters.toSorted((a, b) => a - b));
});
