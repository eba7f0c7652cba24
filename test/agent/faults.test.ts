// The agent's writer when the file system fails it, and when it is killed between any two system calls.
// strace injects both, at each call in turn, until a run goes through without one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { name, rootOnly, startGuest, value, type Guest } from './guest-fixture.ts';

const FILES = ['a', 'b', 'c'] as const;
/** Longer than a page, so that a short write would show. */
const OLD = 'old '.repeat(2000);
const NEW = 'new '.repeat(2500);
/** Neither what an umask leaves, nor the agent's own user or group. */
const ODD = { mode: 0o640, uid: 1234, gid: 4321 };

/** Calls with which the agent changes the file system. */
const CHANGING = ['openat', 'write', 'fchown', 'fchmod', 'close', 'renameat', 'unlinkat'] as const;

const hasStrace = spawnSync('strace', ['--version']).status === 0;
const options = hasStrace ? {} : { skip: 'strace is missing: apt-get install strace' };

async function guestWithOldSet(context: TestContext, tmpfs?: string): Promise<Guest> {
  const guest = await startGuest(context, tmpfs === undefined ? {} : { tmpfs });
  for (const file of [...FILES, 'gone']) await guest.store.create(name(file), value(OLD), ODD);
  assert.equal((await guest.agent(['secrets', 'sync'])).status, 0);
  return guest;
}

async function change(guest: Guest): Promise<void> {
  for (const file of FILES) await guest.store.update(name(file), { value: value(NEW) });
  await guest.store.remove(name('gone'));
  await guest.store.create(name('added'), value(NEW), ODD);
}

async function changeBack(guest: Guest): Promise<void> {
  for (const file of FILES) await guest.store.update(name(file), { value: value(OLD) });
  await guest.store.create(name('gone'), value(OLD), ODD);
  await guest.store.remove(name('added'));
}

/** Every file under a real name is an old value or a new one, whole, with its owner and mode. */
function assertNothingPartial(guest: Guest): void {
  for (const file of readdirSync(guest.directory)) {
    const text = readFileSync(join(guest.directory, file), 'utf8');
    assert.ok(text === OLD || text === NEW, `${file} has ${text.length} bytes of neither value`);
    const { mode, uid, gid } = statSync(join(guest.directory, file));
    assert.deepEqual({ mode: mode & 0o7777, uid, gid }, ODD, file);
  }
  for (const file of FILES) assert.ok(readdirSync(guest.directory).includes(file), `${file} is missing`);
}

async function assertMendsItself(guest: Guest): Promise<void> {
  const synced = await guest.agent(['secrets', 'sync']);
  assert.equal(synced.status, 0, synced.stderr);
  assert.deepEqual(readdirSync(guest.directory).sort(), [...guest.store.snapshot().secrets.keys()].sort());
  for (const file of readdirSync(guest.directory)) assert.equal(readFileSync(join(guest.directory, file), 'utf8'), NEW);
  assert.deepEqual(readdirSync(`${guest.directory}.agent/staging`), []);
}

/** Runs a sync with a fault at the `count`th of the calls; undefined when there are fewer. */
async function syncWithFault(guest: Guest, fault: string, count: number): Promise<number | null | undefined> {
  const log = join(guest.directory, `../strace-${fault.replaceAll(/\W/g, '-')}`);
  const inject = `inject=${fault}:when=${count}`;
  const { status } = await guest.agent(['secrets', 'sync'], ['strace', '-f', '-o', log, '-e', 'trace=file,desc', '-e', inject]);
  const injected = /\(INJECTED\)|\+\+\+ killed by SIGKILL/.test(readFileSync(log, 'latin1'));
  return injected ? status : undefined;
}

test('killed at any system call, the agent leaves no partial file under a real name and mends it at the next sync', options, async (context) => {
  const guest = await guestWithOldSet(context);
  const counts: Record<string, number> = {};
  for (const call of CHANGING) {
    for (let count = 1; ; count += 1) {
      await change(guest);
      const outcome = await syncWithFault(guest, `${call}:signal=KILL`, count);
      assertNothingPartial(guest);
      await assertMendsItself(guest);
      await changeBack(guest);
      assert.equal((await guest.agent(['secrets', 'sync'])).status, 0);
      if (outcome === undefined) break;
      counts[call] = count;
    }
  }
  context.diagnostic(`killed at ${Object.entries(counts).map(([call, count]) => `${count} x ${call}`).join(', ')}`);
  assert.ok((counts['renameat'] ?? 0) >= FILES.length, 'expected a kill at each rename');
});

for (const errno of ['ENOSPC', 'EIO']) {
  test(`${errno} at any step that changes files fails the sync with one line, and the next one mends it`, options, async (context) => {
    const guest = await guestWithOldSet(context);
    let failures = 0;
    for (const call of ['write', 'fchown', 'fchmod', 'renameat'] as const) {
      for (let count = 1; ; count += 1) {
        await change(guest);
        const outcome = await syncWithFault(guest, `${call}:error=${errno}`, count);
        assertNothingPartial(guest);
        await assertMendsItself(guest);
        await changeBack(guest);
        assert.equal((await guest.agent(['secrets', 'sync'])).status, 0);
        if (outcome === undefined) break;
        if (outcome !== 0) failures += 1;
      }
    }
    context.diagnostic(`${failures} injected faults failed a sync`);
    assert.ok(failures >= 4 * FILES.length, `only ${failures} syncs failed`);
  });
}

test('a full file system leaves the old set whole, says which secret, shows on the host and is mended once there is room', async (context) => {
  const guest = await startGuest(context, { tmpfs: 'size=128k' });
  await guest.store.create(name('a'), value('old'), rootOnly);
  await guest.run();
  await guest.store.create(name('b'), value(Buffer.alloc(200 * 1024, 1)), rootOnly);
  await until(guest, (state) => state === 'failed');
  const failed = guest.vm.status().deliveries.find((delivery) => delivery.name === 'b');
  assert.equal(failed?.error?.code, 'ENOSPC');
  assert.deepEqual(readdirSync(guest.directory), ['a']);
  const synced = await guest.agent(['secrets', 'sync']);
  assert.equal(synced.status, 1);
  assert.equal(synced.stderr, 'slicer-agent: error: b: write: No space left on device\n');
  await guest.store.update(name('b'), { value: value('small') });
  await guest.caughtUp();
  assert.equal(readFileSync(join(guest.directory, 'b'), 'utf8'), 'small');
  await until(guest, (state) => state === 'current');
});

/** Waits until the host sees secret `b` in that state. */
function until(guest: Guest, holds: (state: string | undefined) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the state did not come')), 20_000);
    const check = (): void => {
      if (!holds(guest.vm.status().deliveries.find((delivery) => delivery.name === 'b')?.state)) return;
      clearTimeout(timer);
      stop();
      resolve();
    };
    const stop = guest.vm.onStatus(check);
    check();
  });
}
