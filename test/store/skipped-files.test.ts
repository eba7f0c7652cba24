import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync, mkdirSync, renameSync, symlinkSync, truncateSync, unlinkSync, writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { SECRET_MAX_BYTES } from '../../src/secret/secret.ts';
import type { Snapshot } from '../../src/store/store.ts';
import { name, namesIn, openTestStore, put, until, valueOf } from './store-fixture.ts';

const reasonOf = (snapshot: Snapshot, file: string): string | undefined =>
  snapshot.skipped.find((entry) => entry.file === file)?.reason;

async function listen(t: TestContext, path: string): Promise<void> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

test('what is no plain file with a proper name is never served and is listed with the reason', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('good'), 'served');
  symlinkSync(path('good'), path('link'));
  symlinkSync('/nowhere', path('dangling'));
  mkdirSync(path('sub'));
  execFileSync('mkfifo', [path('fifo')]);
  await listen(t, path('socket'));
  for (const [file, mode] of [['suid', 0o4600], ['sgid', 0o2640], ['sticky', 0o1600]] as const) {
    put(path(file), 'x');
    chmodSync(path(file), mode);
  }
  const leftovers = ['name~', '.name.swp', '#name#', '.hidden', 'a b', 'schlüssel', 'x'.repeat(254)];
  for (const file of leftovers) put(path(file), 'x');
  put(path('big'), '');
  truncateSync(path('big'), SECRET_MAX_BYTES + 1);
  await store.rescan();

  const snapshot = store.snapshot();
  assert.deepEqual(namesIn(snapshot), ['good']);
  const outside = 'has a name outside the rule: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot';
  assert.deepEqual(Object.fromEntries(snapshot.skipped.map(({ file, reason }) => [file, reason])), {
    link: 'is a symbolic link',
    dangling: 'is a symbolic link',
    sub: 'is a directory',
    fifo: 'is a FIFO',
    socket: 'is a socket',
    suid: 'has mode 4600, expected no setuid, setgid or sticky bit',
    sgid: 'has mode 2640, expected no setuid, setgid or sticky bit',
    sticky: 'has mode 1600, expected no setuid, setgid or sticky bit',
    big: 'is 1048577 bytes, expected at most 1048576',
    ...Object.fromEntries(leftovers.map((file) => [file, outside])),
  });
});

test('a value of exactly 1 MiB is served', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('big'), Buffer.alloc(SECRET_MAX_BYTES, 7));
  await store.rescan();
  assert.equal(store.snapshot().secrets.get(name('big'))?.value.sizeBytes, SECRET_MAX_BYTES);
});

test('a file name with control characters is listed as text that a terminal can show', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('a\n\u001b[31mb'), 'x');
  writeFileSync(Buffer.concat([Buffer.from(`${path()}/`), Buffer.from([0xff, 0x31])]), 'x');
  await store.rescan();
  const listed = ['\\u{fffd}1', 'a\\u{a}\\u{1b}[31mb'];
  assert.deepEqual(store.snapshot().skipped.map(({ file }) => file), listed);
  put(path('later'), 'x');
  const after = await until(store, (snapshot) => snapshot.secrets.has(name('later')));
  assert.deepEqual(after.skipped.map(({ file }) => file), listed);
});

const waysToUnserve: readonly [string, (file: string) => void][] = [
  ['its mode gets a setuid bit', (file) => chmodSync(file, 0o4600)],
  ['it grows over 1 MiB', (file) => truncateSync(file, SECRET_MAX_BYTES + 1)],
  ['a directory takes its place', (file) => { unlinkSync(file); mkdirSync(file); }],
  ['a symbolic link takes its place', (file) => { symlinkSync('/etc/hostname', `${file}~`); renameSync(`${file}~`, file); }],
];

for (const [what, spoil] of waysToUnserve) {
  test(`a secret counts as removed when ${what}`, async (t) => {
    const { store, path } = await openTestStore(t);
    put(path('s'), 'v');
    const { counter } = await until(store, (snapshot) => snapshot.secrets.has(name('s')));
    spoil(path('s'));
    const gone = await until(store, (snapshot) => !snapshot.secrets.has(name('s')));
    assert.ok((gone.removed.get(name('s')) as number) > counter);
    await until(store, (snapshot) => reasonOf(snapshot, 's') !== undefined);
  });
}

test('a file that is mended is served and no longer listed', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('s'), 'v');
  chmodSync(path('s'), 0o4600);
  await until(store, (snapshot) => reasonOf(snapshot, 's') !== undefined);
  chmodSync(path('s'), 0o600);
  const mended = await until(store, (snapshot) => valueOf(snapshot, 's') === 'v');
  assert.deepEqual(mended.skipped, []);
});

test('a file that is deleted is no longer listed, with no new version of anything', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('.x.swp'), 'v');
  const { counter } = await until(store, (snapshot) => snapshot.skipped.length === 1);
  unlinkSync(path('.x.swp'));
  assert.equal((await until(store, (snapshot) => snapshot.skipped.length === 0)).counter, counter);
});
