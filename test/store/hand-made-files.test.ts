import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync, chmodSync, chownSync, linkSync, mkdirSync, readFileSync, renameSync, statSync, unlinkSync, utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStore } from '../../src/store/store.ts';
import {
  HeldClock, name, namesIn, NEEDS_ROOT, openTestStore, PRIVATE, put, secret, temporaryDirectory, until, valueOf,
} from './store-fixture.ts';

test('files that were there before are secrets when the store opens', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, '.secrets'), { mode: 0o700 });
  put(join(directory, '.secrets', 'api-key'), 'old\n');
  put(join(directory, '.secrets', 'empty'), '');
  const store = await openStore(join(directory, '.secrets'));
  t.after(() => store.close());
  const snapshot = store.snapshot();
  assert.deepEqual(namesIn(snapshot), ['api-key', 'empty']);
  assert.equal(valueOf(snapshot, 'api-key'), 'old\n');
  assert.equal(valueOf(snapshot, 'empty'), '');
});

test('a file made with tee, then chmod and chown, arrives with each step', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t);
  execFileSync('tee', [path('api-key')], { input: 'my-api-key\n', stdio: ['pipe', 'ignore', 'inherit'] });
  await until(store, (snapshot) => valueOf(snapshot, 'api-key') === 'my-api-key\n');
  execFileSync('chmod', ['640', path('api-key')]);
  await until(store, (snapshot) => snapshot.secrets.get(name('api-key'))?.attributes.mode === 0o640);
  execFileSync('chown', ['1000:1001', path('api-key')]);
  const last = await until(store, (snapshot) => snapshot.secrets.get(name('api-key'))?.attributes.uid === 1000);
  assert.deepEqual(last.secrets.get(name('api-key'))?.attributes, { mode: 0o640, uid: 1000, gid: 1001 });
});

test('owners over the whole 32-bit range and every permission bit are kept', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t);
  const cases = [
    { mode: 0o000, uid: 4294967294, gid: 4294967294 },
    { mode: 0o777, uid: 4000000000, gid: 0 },
    { mode: 0o421, uid: 0, gid: 2147483648 },
  ];
  for (const [index, { mode, uid, gid }] of cases.entries()) {
    put(path(`s${index}`), 'x');
    chownSync(path(`s${index}`), uid, gid);
    chmodSync(path(`s${index}`), mode);
  }
  await store.rescan();
  for (const [index, attributes] of cases.entries()) {
    assert.deepEqual(store.snapshot().secrets.get(name(`s${index}`))?.attributes, attributes);
  }
});

test('a name of 253 characters is served', async (t) => {
  const { store, path } = await openTestStore(t);
  const longest = 'n'.repeat(253);
  put(path(longest), 'x');
  await until(store, (snapshot) => snapshot.secrets.has(name(longest)));
});

test('a file that is moved in, old mtime and all, is taken as it is', async (t) => {
  const { store, path } = await openTestStore(t);
  const outside = join(temporaryDirectory(t), 'file');
  put(outside, 'moved');
  utimesSync(outside, 1, 1);
  renameSync(outside, path('moved'));
  const snapshot = await until(store, (now) => valueOf(now, 'moved') === 'moved');
  assert.equal(snapshot.secrets.get(name('moved'))?.modifiedAtMs, 1000);
});

test('a file is seen by its own event, without a look at the whole directory', async (t) => {
  const clock = new HeldClock();
  clock.advance(10_000);
  const { store, path } = await openTestStore(t, { clock });
  put(path('../outside'), 'moved');
  utimesSync(path('../outside'), 1, 1);
  renameSync(path('../outside'), path('s'));
  await until(store, (snapshot) => valueOf(snapshot, 's') === 'moved');
});

test('a value of the same size and mtime in the same inode is seen', async (t) => {
  const { store, path } = await openTestStore(t);
  for (const value of ['aaaa', 'bbbb', 'cccc']) {
    writeFileSync(path('s'), value);
    utimesSync(path('s'), 1, 1);
    await until(store, (snapshot) => valueOf(snapshot, 's') === value);
  }
});

test('a file that is written slowly in place is taken when it was still for 50 ms', async (t) => {
  const clock = new HeldClock();
  const { store, path } = await openTestStore(t, { clock });
  put(path('slow'), 'one ');
  const looked = store.rescan();
  clock.advance(49);
  assert.equal(valueOf(store.snapshot(), 'slow'), undefined);
  appendFileSync(path('slow'), 'two ');
  const lookedAgain = store.rescan();
  await looked;
  clock.advance(49);
  assert.equal(valueOf(store.snapshot(), 'slow'), undefined);
  clock.advance(1);
  await lookedAgain;
  assert.equal(valueOf(store.snapshot(), 'slow'), 'one two ');
});

test('the old value stays while a file is rewritten in place', async (t) => {
  const clock = new HeldClock();
  const { store, path } = await openTestStore(t, { clock });
  await store.create(name('s'), secret('old value'), PRIVATE);
  writeFileSync(path('s'), '');
  const looked = store.rescan();
  assert.equal(valueOf(store.snapshot(), 's'), 'old value');
  writeFileSync(path('s'), 'new');
  const lookedAgain = store.rescan();
  assert.equal(valueOf(store.snapshot(), 's'), 'old value');
  clock.advance(50);
  await Promise.all([looked, lookedAgain]);
  assert.equal(valueOf(store.snapshot(), 's'), 'new');
});

test('an editor that moves the old file away and writes a new one removes nothing', async (t) => {
  const clock = new HeldClock();
  const { store, path } = await openTestStore(t, { clock });
  await store.create(name('s'), secret('old'), PRIVATE);
  const counters: number[] = [];
  store.onChange((snapshot) => counters.push(snapshot.secrets.size));
  renameSync(path('s'), path('s~'));
  const looked = store.rescan();
  assert.equal(valueOf(store.snapshot(), 's'), 'old');
  clock.advance(49);
  put(path('s'), 'new');
  const lookedAgain = store.rescan();
  clock.advance(50);
  await Promise.all([looked, lookedAgain]);
  unlinkSync(path('s~'));
  assert.equal(valueOf(store.snapshot(), 's'), 'new');
  assert.ok(counters.every((size) => size === 1), 'the secret was missing in between');
});

test('a file that is deleted is removed once it is gone for 50 ms', async (t) => {
  const clock = new HeldClock();
  const { store, path } = await openTestStore(t, { clock });
  await store.create(name('s'), secret('v'), PRIVATE);
  unlinkSync(path('s'));
  const looked = store.rescan();
  clock.advance(49);
  assert.equal(store.snapshot().secrets.size, 1);
  clock.advance(1);
  await looked;
  assert.equal(store.snapshot().secrets.size, 0);
  assert.equal(store.snapshot().removed.get(name('s')), store.snapshot().counter);
});

test('a secret that is pulled out and put back gets higher versions', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('s'), 'v');
  const first = (await until(store, (now) => now.secrets.has(name('s')))).secrets.get(name('s'))?.version as number;
  renameSync(path('s'), path('../aside'));
  const out = await until(store, (now) => !now.secrets.has(name('s')));
  assert.ok((out.removed.get(name('s')) as number) > first);
  renameSync(path('../aside'), path('s'));
  const back = await until(store, (now) => now.secrets.has(name('s')));
  assert.ok((back.secrets.get(name('s'))?.version as number) > (out.removed.get(name('s')) as number));
  assert.equal(back.removed.size, 0);
});

test('a change of the mode alone is a new version, of the mtime alone it is none', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('v'), PRIVATE);
  utimesSync(path('s'), 5, 5);
  const touched = await until(store, (now) => now.secrets.get(name('s'))?.modifiedAtMs === 5000);
  assert.equal(touched.secrets.get(name('s'))?.version, 1);
  assert.equal(touched.counter, 1);
  chmodSync(path('s'), 0o640);
  const changed = await until(store, (now) => now.secrets.get(name('s'))?.attributes.mode === 0o640);
  assert.equal(changed.secrets.get(name('s'))?.version, 2);
});

test('a hard link is a file like any other', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('../original'), 'linked');
  linkSync(path('../original'), path('s'));
  await until(store, (snapshot) => valueOf(snapshot, 's') === 'linked');
});

test('a storm of renames ends with what is there', async (t) => {
  const { store, path } = await openTestStore(t);
  for (let round = 0; round < 300; round += 1) {
    put(path('../next'), `value ${round}`);
    renameSync(path('../next'), path(`s${round % 7}`));
    if (round % 3 === 0) renameSync(path(`s${round % 7}`), path(`t${round % 5}`));
    if (round % 20 === 0) await new Promise(setImmediate);
  }
  await store.rescan();
  const snapshot = store.snapshot();
  for (const file of namesIn(snapshot)) assert.equal(valueOf(snapshot, file), readFileSync(path(file), 'utf8'));
  const listed = execFileSync('ls', [path()], { encoding: 'utf8' }).trim().split('\n').sort();
  assert.deepEqual(namesIn(snapshot), listed);
});

const queueLength = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));

test('a file that came while the kernel dropped events is found', { skip: queueLength > 50_000 && 'the event queue is too long to fill' }, async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('../late'), 'late');
  utimesSync(path('../late'), 1, 1);
  for (const file of ['a', 'b']) put(path(file), file);
  for (let count = 0; count <= queueLength; count += 2) {
    chmodSync(path('a'), 0o600);
    chmodSync(path('b'), 0o600);
  }
  renameSync(path('../late'), path('late'));
  await until(store, (snapshot) => snapshot.secrets.has(name('late')));
  assert.equal(statSync(path('late')).nlink, 1);
});
