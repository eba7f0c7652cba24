// Every system call with which the store, generated values and VMs' records are changed: a kill at each, and at
// each that changes something every error that a file system gives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPERATIONS } from '../crash/operations.ts';
import { assertRefused } from '../crash/refusal.ts';
import { MISSING_STRACE, type Call } from '../crash/strace.ts';
import { callsOf, isAcknowledgement, isChange, strike } from '../crash/strike.ts';

const countsOf = (calls: readonly Call[]): string => {
  const counts = new Map<string, number>();
  for (const { name } of calls) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
};

const sum = { kills: 0, faults: 0, refused: 0 };

for (const title of Object.keys(OPERATIONS)) {
  test(`killed at each system call, it is whole: ${title}`, { skip: MISSING_STRACE }, async (context) => {
    const calls = await callsOf(title);
    context.diagnostic(`${calls.length} system calls: ${countsOf(calls)}`);
    const missed: Call[] = [];
    for (const call of calls) if (!(await strike(title, call, 'signal=KILL')).struck) missed.push(call);
    context.diagnostic(`killed at ${calls.length - missed.length}; in that run there was no ${missed.map(({ name, ordinal }) => `${name} ${ordinal}`).join(', ') || 'call less'}`);
    sum.kills += calls.length - missed.length;
    // Looks at the directory come when the kernel tells of a change in it: their number is not always the same.
    assert.deepEqual(missed.filter((call) => isChange(call) && !isAcknowledgement(call)).map(({ text }) => text), []);
  });

  if (OPERATIONS[title]?.isByHand === true) continue;
  test(`refused by the file system at each system call, it stays as it was: ${title}`, { skip: MISSING_STRACE }, async (context) => {
    const calls = (await callsOf(title)).filter((call) => isChange(call) && !isAcknowledgement(call));
    let refused = 0;
    for (const call of calls) {
      for (const errno of ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']) if (await assertRefused(title, call, errno)) refused += 1;
    }
    context.diagnostic(`${refused} of ${4 * calls.length} faults failed the change`);
    sum.faults += 4 * calls.length;
    sum.refused += refused;
  });
}

test('there were kills and faults', { skip: MISSING_STRACE }, (context) => {
  context.diagnostic(`in all: ${sum.kills} kills of ${Object.keys(OPERATIONS).length} changes; ${sum.faults} faults, of which ${sum.refused} refused the change`);
  assert.ok(sum.kills > 0 && sum.refused > 0);
});
