// What docs/operations.md says of backups, done with tar as it is written there.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { NEEDS_ROOT, name, namesIn, openTestStore, secret, until, valueOf } from './store-fixture.ts';

test('a store that was backed up with tar is restored into a running daemon with bytes, modes and owners', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('api-key'), secret('a value\n'), { mode: 0o640, uid: 1000, gid: 4000000000 });
  await store.create(name('empty'), secret(''), { mode: 0o400, uid: 0, gid: 0 });
  const [parent, directory] = [dirname(path()), basename(path())];
  const archive = execFileSync('tar', ['-cp', '-C', parent, directory]);

  await store.update(name('api-key'), { value: secret('another value\n') });
  await store.remove(name('empty'));
  for (const file of readdirSync(path())) rmSync(path(file));
  await until(store, (snapshot) => namesIn(snapshot).length === 0);

  execFileSync('tar', ['-xp', '-C', parent], { input: archive });
  // tar gives a file its owner and mode when its bytes are there.
  const has = (file: string, value: string, attributes: object): Promise<unknown> => until(store, (snapshot) =>
    valueOf(snapshot, file) === value && isDeepStrictEqual(snapshot.secrets.get(name(file))?.attributes, attributes));
  await has('api-key', 'a value\n', { mode: 0o640, uid: 1000, gid: 4000000000 });
  await has('empty', '', { mode: 0o400, uid: 0, gid: 0 });
});
