import assert from 'node:assert/strict';
import { chmodSync, rmSync, truncateSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { SECRET_MAX_BYTES, Secret } from '../../src/secret/secret.ts';
import { SlicerError, errorLines } from '../../src/errors/slicer-error.ts';
import { name, openTestStore, PRIVATE, put, secret } from './store-fixture.ts';

const CANARY = 'canary-7d1f';
test('no error, snapshot or list of skipped files holds a byte of a value', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret(CANARY), PRIVATE);
  for (const file of ['.swap', 'name~', 'suid', 'big']) put(path(file), CANARY);
  chmodSync(path('suid'), 0o4600);
  truncateSync(path('big'), SECRET_MAX_BYTES + 1);
  await store.rescan();
  const big = new Secret(Buffer.alloc(SECRET_MAX_BYTES + 1, CANARY));
  const refused = [
    () => store.create(name('s'), secret(CANARY), PRIVATE),
    () => store.create(name('suid'), secret(CANARY), PRIVATE),
    () => store.create(name('t'), big, PRIVATE),
    () => store.update(name('s'), { value: big }),
    () => store.update(name('t'), { value: secret(CANARY) }),
    () => store.update(name('s'), { value: secret(CANARY), mode: 0o7777 }),
    () => {
      rmSync(path(), { recursive: true });
      return store.update(name('s'), { value: secret(CANARY) });
    },
  ];
  const texts: string[] = [];
  for (const change of refused) {
    const error = await change().then(() => undefined, (thrown: unknown) => thrown);
    assert.ok(error instanceof SlicerError);
    texts.push(...errorLines(error), inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error.problems));
  }
  const snapshot = store.snapshot();
  assert.equal(snapshot.skipped.length, 4);
  texts.push(inspect(snapshot, { depth: 10, showHidden: true }), JSON.stringify([...snapshot.secrets.values(), snapshot.skipped]));
  for (const text of texts) assert.doesNotMatch(text, new RegExp(CANARY));
  assert.equal(Buffer.from(snapshot.secrets.get(name('s'))?.value.reveal() ?? []).toString(), CANARY);
});
