import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startGuest } from './guest-fixture.ts';

const rssKib = (pid: number): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

test('output that nobody takes is not read: the agent does not grow with it', async (context) => {
  const guest = await startGuest(context);
  const { pid } = await guest.run();
  const call = await guest.vm.call(AbortSignal.timeout(10_000));
  // It fills its pipe as fast as the agent empties it.
  const session = await call.exec({ argv: ['cat', '/dev/zero'], uid: 0, env: [], stdin: false });
  const frames = session.frames[Symbol.asyncIterator]();
  let highest = 0;
  for (let count = 0; count < 300; count += 1) {
    await frames.next();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    highest = Math.max(highest, rssKib(pid as number));
  }
  call.close();
  assert.ok(highest < 16 * 1024, `the agent has ${highest} KiB`);
});
