import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openStore } from '../../src/store/store.ts';
import { readStore } from '../../src/store/read-store.ts';

function storeFor(t: TestContext): string {
  const base = mkdtempSync(join(tmpdir(), 'slicer-read-'));
  t.after(() => rmSync(base, { recursive: true }));
  const store = join(base, 'secrets');
  mkdirSync(store, { mode: 0o700 });
  return store;
}

test('one look sees what a store serves, and leaves even the leftovers of a write', async (t) => {
  const directory = storeFor(t);
  writeFileSync(join(directory, 'a'), 'one', { mode: 0o600 });
  writeFileSync(join(directory, '.hidden'), 'x');
  writeFileSync(join(directory, 'big'), new Uint8Array(1024 * 1024 + 1));
  mkdirSync(join(directory, 'sub'));
  symlinkSync('a', join(directory, 'link'));
  writeFileSync(join(directory, 'sticky'), 'x');
  chmodSync(join(directory, 'sticky'), 0o4600);
  const before = readdirSync(directory).sort();
  const { secrets, problem } = readStore(directory);
  assert.deepEqual([[...secrets].map(([name, { value }]) => [name, Buffer.from(value.reveal()).toString()]), problem], [[['a', 'one']], undefined]);
  assert.deepEqual(readdirSync(directory).sort(), before);
  const store = await openStore(directory);
  t.after(() => store.close());
  assert.deepEqual([...store.snapshot().secrets.keys()], [...secrets.keys()]);
});

test('a store that is open to others, or not there, is told and not read or made', (t) => {
  const directory = storeFor(t);
  writeFileSync(join(directory, 'a'), 'one', { mode: 0o600 });
  chmodSync(directory, 0o750);
  const open = readStore(directory);
  assert.deepEqual([open.secrets.size, open.problem], [0, `the store "${directory}" is open to others: it has mode 0750, expected 0700`]);
  const absent = readStore(`${directory}x`);
  assert.deepEqual([absent.secrets.size, absent.problem], [0, `the store "${directory}x" does not exist`]);
  writeFileSync(`${directory}-file`, '');
  assert.match(readStore(`${directory}-file`).problem ?? '', /cannot be read: ENOTDIR|open to others/);
});
