// Changes of the store, of generated values and of VMs' records that are struck: by a power cut, by a kill at
// one of their system calls, by a file system that refuses. A few of each; test/long has all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf } from './durability.ts';
import { OPERATIONS } from './operations.ts';
import { assertRefused } from './refusal.ts';
import { sampleFrom } from './sample.ts';
import { MISSING_STRACE, type Call } from './strace.ts';
import { callsOf, isAcknowledgement, isChange, strike } from './strike.ts';

const SEED = Number(process.env['SLICER_SEED'] ?? 5);
const KILLS = 10;
const REFUSALS = 8;

for (const title of Object.keys(OPERATIONS)) {
  if (OPERATIONS[title]?.isByHand === true) continue;
  test(`a power cut takes nothing back once it is acknowledged: ${title}`, { skip: MISSING_STRACE }, async () => {
    assert.deepEqual(faultsOf(await callsOf(title), isAcknowledgement), []);
  });
}

test('no change needs what only some file systems have: O_TMPFILE, or the flags of renameat2', { skip: MISSING_STRACE }, async () => {
  for (const title of Object.keys(OPERATIONS)) {
    const needed = (await callsOf(title)).filter(({ name, text }) => name === 'renameat2' || text.includes('O_TMPFILE'));
    assert.deepEqual(needed.map(({ text }) => text), []);
  }
});

test(`a process that is killed at ${KILLS} of its system calls loses nothing that it acknowledged and leaves nothing half done`, { skip: MISSING_STRACE }, async (context) => {
  const all = (await Promise.all(Object.keys(OPERATIONS).map(async (title) => (await callsOf(title)).map((call) => ({ title, call }))))).flat();
  context.diagnostic(`${all.length} system calls in ${Object.keys(OPERATIONS).length} changes; ${KILLS} of them, seed ${SEED}`);
  let kills = 0;
  for (const { title, call } of sampleFrom(all.filter(({ call }) => isChange(call) && !isAcknowledgement(call)), SEED, KILLS)) {
    if ((await strike(title, call, 'signal=KILL')).struck) kills += 1;
  }
  assert.equal(kills, KILLS);
});

test('a file system that refuses a change gets an error that names the next command, and all stays as it was', { skip: MISSING_STRACE }, async () => {
  const all = (await Promise.all(Object.keys(OPERATIONS).map(async (title) => (await callsOf(title)).map((call) => ({ title, call }))))).flat();
  const errnos = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'];
  const sample = sampleFrom(all.filter(({ title, call }) => OPERATIONS[title]?.isByHand !== true && isChange(call) && !isAcknowledgement(call)), SEED, REFUSALS);
  for (const [index, { title, call }] of sample.entries()) await assertRefused(title, call, errnos[index % errnos.length] as string);
});

const SEQUENCE = ['openat(AT_FDCWD, "/s/.slicer-1-a.tmp", O_WRONLY|O_CREAT, 0600) = 3</s/.slicer-1-a.tmp>', 'write(3</s/.slicer-1-a.tmp>, "v") = 1',
  'fchmod(3</s/.slicer-1-a.tmp>, 0640) = 0', 'fsync(3</s/.slicer-1-a.tmp>) = 0', 'rename("/s/.slicer-1-a.tmp", "/s/name") = 0', 'fsync(4</s>) = 0', 'writev(1<pipe>, [{"made"}], 1) = 4'];

const callsIn = (lines: readonly string[]): Call[] => lines.map((text, position) =>
  ({ thread: 'main', name: /^[a-z]+/.exec(text)?.[0] as string, ordinal: 1, text, beganAt: position, endedAt: position }));

test('the check finds each step that is missing or too late', () => {
  const faults = (lines: readonly string[]): string[] => faultsOf(callsIn(lines), isAcknowledgement);
  const [open, write, mode, sync, rename, syncDirectory, acknowledge] = SEQUENCE as [string, string, string, string, string, string, string];
  assert.deepEqual(faults(SEQUENCE), []);
  const early = '/s/.slicer-1-a.tmp was not on the disk when it got its name';
  const unsure = '/s was not on the disk when the change was acknowledged';
  assert.deepEqual(faults([open, write, mode, rename, syncDirectory, acknowledge]), [early]);
  assert.deepEqual(faults([open, write, sync, mode, rename, syncDirectory, acknowledge]), [early]);
  assert.deepEqual(faults([open, write, mode, sync, rename, acknowledge]), [unsure]);
  assert.deepEqual(faults([open, write, mode, sync, rename, acknowledge, syncDirectory]), [unsure]);
  assert.deepEqual(faults([open, write, mode, sync, syncDirectory, rename, acknowledge]), [unsure]);
  assert.deepEqual(faults(SEQUENCE.slice(0, -1)), ['nothing was acknowledged']);
});
