// What a store knows of its files from one start to the next: changes that somebody made in between are told.
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, linkSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openStore, type Store } from '../../src/store/store.ts';
import { name, PRIVATE, put, secret, temporaryDirectory, until, valueOf } from './store-fixture.ts';

interface Place {
  readonly path: (entry: string) => string;
  readonly known: string;
  /** The next process, and what it says was changed before it; the one before is not asked, as if it had been killed. */
  readonly start: () => Promise<{ store: Store; told: string[] }>;
}

function placeFor(t: TestContext): Place {
  const parent = temporaryDirectory(t);
  const known = join(parent, 'known-files');
  return {
    known,
    path: (entry) => join(parent, '.secrets', entry),
    start: async () => {
      const told: string[] = [];
      const store = await openStore(join(parent, '.secrets'), { knownFilesPath: known, onChangedBefore: (change) => void told.push(`${change.kind} ${change.name}`) });
      t.after(() => store.close());
      return { store, told: told.sort() };
    },
  };
}

test('what is created, changed and removed while no process has the store open is told by the next, once', async (t) => {
  const { path, start } = placeFor(t);
  const first = await start();
  for (const each of ['kept', 'written', 'replaced', 'opened', 'spoilt', 'gone']) await first.store.create(name(each), secret('old'), PRIVATE);
  await first.store.close();
  writeFileSync(path('written'), 'new');
  writeFileSync(path('beside'), 'new', { mode: 0o600 });
  renameSync(path('beside'), path('replaced'));
  chmodSync(path('opened'), 0o644);
  rmSync(path('spoilt'));
  symlinkSync('kept', path('spoilt'));
  rmSync(path('gone'));
  writeFileSync(path('added'), 'new', { mode: 0o600 });
  assert.deepEqual((await start()).told, ['create added', 'remove gone', 'remove spoilt', 'update opened', 'update replaced', 'update written']);
  assert.deepEqual((await start()).told, []);
});

test('at its first start a store tells of nothing, nor of what it was there for, however it ended', async (t) => {
  const { path, start } = placeFor(t);
  const { store, told } = await start();
  assert.deepEqual(told, []);
  await store.create(name('own'), secret('1'), PRIVATE);
  await store.update(name('own'), { value: secret('2') });
  await store.create(name('short'), secret('1'), PRIVATE);
  put(path('hand'), 'by hand');
  await until(store, (snapshot) => valueOf(snapshot, 'hand') === 'by hand');
  await store.remove(name('short'));
  linkSync(path('own'), join(path('..'), 'backup'));
  // Written again with the same bytes, which makes no version.
  utimesSync(path('hand'), 1, 1);
  await store.rescan();
  assert.deepEqual((await start()).told, []);
});

test('what is known of the files is for their owner alone, holds nothing of a value, and stays small', async (t) => {
  const { known, start } = placeFor(t);
  const { store } = await start();
  await store.create(name('api-key'), secret('canary'), PRIVATE);
  for (let count = 0; count < 1100; count += 1) await store.update(name('api-key'), { mode: count % 2 === 0 ? 0o600 : 0o640 });
  assert.equal(statSync(known).mode & 0o7777, 0o600);
  const lines = readFileSync(known, 'utf8').split('\n').slice(0, -1);
  assert.ok(lines.length > 0 && lines.length < 1010, `${lines.length} lines`);
  for (const line of lines) assert.match(line, /^api-key [0-9]+ 6 [0-9]+ [0-9]+ [0-9]+ [0-9]+$/);
  appendFileSync(known, 'api-key 1 2');
  assert.deepEqual((await start()).told, []);
});
