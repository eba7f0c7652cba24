// The daemon as it is, struck while it answers a request: what the client saw acknowledged is there.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../vm/parts.ts';
import { daemonCallsOf, isAnswer, REQUESTS, strikeDaemon } from './daemon-process.ts';
import { faultsOf } from './durability.ts';
import { MISSING_STRACE } from './strace.ts';
import { isChange } from './strike.ts';

const skip = existsSync(join(ROOT, 'build/slicer.cjs')) ? MISSING_STRACE : 'this checkout is not built: npm run build';

for (const title of Object.keys(REQUESTS)) {
  test(`a 2xx is sent when a power cut can take nothing back, and a daemon killed before it leaves nothing half done: ${title}`, { skip }, async () => {
    const calls = await daemonCallsOf(title);
    assert.deepEqual(faultsOf(calls, isAnswer), []);
    const place = calls.find(({ name }) => ['rename', 'link', 'unlink'].includes(name));
    assert.ok(place !== undefined && isChange(place));
    const { struck, outcome } = await strikeDaemon(title, place, 'signal=KILL');
    assert.deepEqual([struck, outcome], [true, 'unknown']);
  });
}

for (const errno of ['ENOSPC', 'EROFS']) {
  test(`${errno} on the host refuses a change with the next command, and the old value stays`, { skip }, async () => {
    const place = (await daemonCallsOf('replace a value')).find(({ name }) => name === 'rename');
    assert.ok(place !== undefined);
    const { struck, outcome, problem } = await strikeDaemon('replace a value', place, `error=${errno}`);
    assert.deepEqual([struck, outcome], [true, 'refused']);
    assert.match(JSON.stringify(problem), errno === 'ENOSPC' ? /store_full.*df -h/ : /store_not_writable.*findmnt/);
  });
}
