// An agent with nothing to do sleeps: it is in the kernel, in a wait that has no end of its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { name, rootOnly, startGuest, value } from './guest-fixture.ts';

/** Of x86-64: pselect6(2), whose fifth argument is how long it waits at most; 0x0 is for ever. */
const SELECT_FOR_EVER = /^270 (0x[0-9a-f]+ ){4}0x0 /;

/** What the process waits for in the kernel: it has been there for a while when it is the same twice. */
async function waitOf(pid: number): Promise<string> {
  for (let rounds = 0; rounds < 100; rounds += 1) {
    const before = readFileSync(`/proc/${pid}/syscall`, 'latin1');
    await delay(200);
    if (before !== 'running\n' && readFileSync(`/proc/${pid}/syscall`, 'latin1') === before) return before;
  }
  throw new Error('it never rests');
}

test('an agent with nothing to do never wakes up, after its first sync and after a change', async (context) => {
  const guest = await startGuest(context);
  const { pid } = await guest.run();
  assert.match(await waitOf(pid as number), SELECT_FOR_EVER);
  await guest.store.create(name('new'), value('a value'), rootOnly);
  await guest.caughtUp();
  assert.match(await waitOf(pid as number), SELECT_FOR_EVER);
});
