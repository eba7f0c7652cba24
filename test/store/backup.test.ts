// What docs/operations.md says of backups, done with tar as it is written there.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';
import { openStore, type Snapshot } from '../../src/store/store.ts';
import { NEEDS_ROOT, PRIVATE, name, namesIn, openTestStore, secret, temporaryDirectory, until, valueOf } from './store-fixture.ts';

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

/** What a store has that is opened for the first time on what was backed up. */
async function restored(t: TestContext, archive: Uint8Array): Promise<Snapshot> {
  const directory = temporaryDirectory(t);
  execFileSync('tar', ['-xp', '-C', directory], { input: archive });
  const store = await openStore(join(directory, '.secrets'));
  t.after(() => store.close());
  assert.deepEqual(readdirSync(join(directory, '.secrets')).sort(), namesIn(store.snapshot()), 'nothing but secrets');
  return store.snapshot();
}

test('a store that was restored before the first start is served whole', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('api-key'), secret('a value\n'), { mode: 0o640, uid: 1000, gid: 4000000000 });
  const snapshot = await restored(t, execFileSync('tar', ['-cp', '-C', dirname(path()), basename(path())]));
  assert.equal(valueOf(snapshot, 'api-key'), 'a value\n');
  assert.deepEqual(snapshot.secrets.get(name('api-key'))?.attributes, { mode: 0o640, uid: 1000, gid: 4000000000 });
});

test('an archive that is made while secrets change has an old value or a new one, and never half of one', async (t) => {
  const { store, path } = await openTestStore(t);
  const value = (index: number): string => `${index}-`.repeat(20_000);
  await store.create(name('api-key'), secret(value(0)), PRIVATE);
  let isOver = false;
  const changes = (async () => {
    for (let index = 1; !isOver; index += 1) await store.update(name('api-key'), { value: secret(value(index)) });
  })();
  for (let round = 0; round < 10; round += 1) {
    // Its exit code is 1 when a directory changes meanwhile, or a file goes (tar(1)).
    const archive = await promisify(execFile)('tar', ['-cp', '-C', dirname(path()), basename(path())], { encoding: 'buffer', maxBuffer: 2 ** 26 })
      .then(({ stdout }) => stdout, (error: { code: number; stdout: Buffer }) => (assert.equal(error.code, 1), error.stdout));
    const held = valueOf(await restored(t, archive), 'api-key');
    if (held !== undefined) assert.equal(held, value(Number.parseInt(held)));
    else assert.fail('the archive is without the secret');
  }
  isOver = true;
  await changes;
});
