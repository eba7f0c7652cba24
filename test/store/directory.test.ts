import assert from 'node:assert/strict';
import {
  chmodSync, chownSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStore } from '../../src/store/store.ts';
import {
  HeldClock, name, namesIn, NEEDS_ROOT, openTestStore, PRIVATE, put, secret, temporaryDirectory, until, valueOf,
} from './store-fixture.ts';

test('an absent directory is made with mode 0700 whatever the umask', async (t) => {
  for (const umask of [0o000, 0o022, 0o277]) {
    const directory = join(temporaryDirectory(t), '.secrets');
    const before = process.umask(umask);
    const store = await openStore(directory).finally(() => process.umask(before));
    t.after(() => store.close());
    assert.equal(statSync(directory).mode & 0o7777, 0o700);
  }
});

for (const mode of [0o755, 0o750, 0o701, 0o720]) {
  test(`a directory of mode 0${mode.toString(8)} is refused with the command that mends it`, async (t) => {
    const directory = join(temporaryDirectory(t), "it's here");
    mkdirSync(directory);
    chmodSync(directory, mode);
    await assert.rejects(openStore(directory), {
      problems: [{
        code: 'store_not_private',
        message: `the store "${directory}" is open to others: it has mode 0${mode.toString(8)}, expected 0700`,
        hint: `sudo chmod 700 '${directory.replace("'", "'\\''")}'`,
      }],
    });
  });
}

test('a directory of another user is refused with the command that mends it', { skip: NEEDS_ROOT }, async (t) => {
  const directory = join(temporaryDirectory(t), '.secrets');
  mkdirSync(directory, { mode: 0o700 });
  chownSync(directory, 1000, 1000);
  await assert.rejects(openStore(directory), {
    problems: [{
      code: 'store_not_private',
      message: `the store "${directory}" is owned by uid 1000, expected 0, which slicer runs as`,
      hint: `sudo chown 0 ${directory}`,
    }],
  });
});

test('what is no directory, or cannot be made one, is refused', async (t) => {
  const parent = temporaryDirectory(t);
  writeFileSync(join(parent, 'file'), '');
  symlinkSync('nowhere', join(parent, 'dangling'));
  await assert.rejects(openStore(join(parent, 'file')), { message: `the store "${parent}/file" is not a directory` });
  await assert.rejects(openStore(join(parent, 'dangling')), {
    code: 'store_not_readable', message: `the store "${parent}/dangling" is a symbolic link to nothing`,
  });
  await assert.rejects(openStore(join(parent, 'no', '.secrets')), {
    problems: [{
      code: 'store_not_readable',
      message: `the store "${parent}/no/.secrets" cannot be made: "${parent}/no" does not exist`,
      hint: `sudo mkdir -p ${parent}/no`,
    }],
  });
});

test('a symbolic link to a private directory is followed', async (t) => {
  const parent = temporaryDirectory(t);
  mkdirSync(join(parent, 'real'), { mode: 0o700 });
  symlinkSync('real', join(parent, '.secrets'));
  const store = await openStore(join(parent, '.secrets'));
  t.after(() => store.close());
  await store.create(name('s'), secret('v'), PRIVATE);
  assert.deepEqual(readdirSync(join(parent, 'real')), ['s']);
});

test('a directory that is opened to others serves the last secrets and takes no change until it is closed', async (t) => {
  // A clock that stands makes no sweep: what happened meanwhile is found because the directory is well again.
  const clock = new HeldClock();
  clock.advance(10_000);
  const { store, path } = await openTestStore(t, { clock });
  await store.create(name('s'), secret('v'), PRIVATE);
  chmodSync(path(), 0o755);
  const open = await until(store, (snapshot) => snapshot.problem !== undefined);
  assert.match(open.problem as string, /is open to others: it has mode 0755, expected 0700/);
  put(path('t'), 'from somebody');
  utimesSync(path('t'), 1, 1);
  // The events of that file come, and nothing may come of them.
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  await assert.rejects(store.update(name('s'), { value: secret('w') }), { code: 'store_not_private' });
  const looked = store.rescan();
  clock.advance(50);
  await looked;
  assert.deepEqual(namesIn(store.snapshot()), ['s']);
  assert.equal(store.snapshot().counter, 1);
  chmodSync(path(), 0o700);
  const closed = await until(store, (snapshot) => snapshot.secrets.size === 2);
  assert.equal(closed.problem, undefined);
});

test('a directory that is moved away takes no secret from any guest, and comes back', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('v'), PRIVATE);
  renameSync(path(), path('../aside'));
  const away = await until(store, (snapshot) => snapshot.problem !== undefined);
  assert.match(away.problem as string, /was removed while in use$/);
  assert.equal(valueOf(away, 's'), 'v');
  await assert.rejects(store.create(name('t'), secret('w'), PRIVATE), { code: 'store_not_readable' });
  renameSync(path('../aside'), path());
  await until(store, (snapshot) => snapshot.problem === undefined);
  await store.update(name('s'), { value: secret('w') });
});

test('a secret that was missing when the directory went is not taken for removed', async (t) => {
  const clock = new HeldClock();
  const { store, path } = await openTestStore(t, { clock });
  await store.create(name('s'), secret('v'), PRIVATE);
  unlinkSync(path('s'));
  const looked = store.rescan();
  rmSync(path(), { recursive: true });
  clock.advance(50);
  await looked;
  assert.deepEqual(namesIn(store.snapshot()), ['s']);
});

test('a directory that is deleted, or replaced by another one, takes no secret from any guest', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('v'), PRIVATE);
  rmSync(path(), { recursive: true });
  await until(store, (snapshot) => /was removed while in use$/.test(snapshot.problem ?? ''));
  mkdirSync(path(), { mode: 0o700 });
  put(path('other'), 'x');
  await store.rescan();
  assert.match(store.snapshot().problem as string, /was replaced by another one while in use$/);
  assert.deepEqual(namesIn(store.snapshot()), ['s']);
  await assert.rejects(store.remove(name('s')), { code: 'store_not_readable' });
  assert.deepEqual(readdirSync(path()), ['other']);
});
