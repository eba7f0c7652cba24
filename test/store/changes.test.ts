import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { SECRET_MAX_BYTES, Secret } from '../../src/secret/secret.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { openStore, type Snapshot } from '../../src/store/store.ts';
import {
  HeldClock, name, namesIn, NEEDS_ROOT, openTestStore, PRIVATE, put, secret, temporaryDirectory, until, valueOf,
} from './store-fixture.ts';

test('a created secret is a file with its bytes, mode and owner, and at once in the snapshot', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t, { clock: new HeldClock() });
  const attributes = { mode: 0o440, uid: 4000000000, gid: 4294967294 };
  const made = await store.create(name('api-key'), secret('v1'), attributes);
  assert.equal(store.snapshot().secrets.get(name('api-key')), made);
  const { mode, uid, gid, nlink, mtimeMs } = statSync(path('api-key'));
  assert.deepEqual({ mode: mode & 0o7777, uid, gid, nlink }, { ...attributes, nlink: 1 });
  assert.equal(made.modifiedAtMs, Math.floor(mtimeMs));
  assert.equal(readFileSync(path('api-key'), 'utf8'), 'v1');
  assert.deepEqual(readdirSync(path()), ['api-key']);
});

test('listeners hear of a change before its promise resolves, and only once', async (t) => {
  const { store, path } = await openTestStore(t);
  const seen: string[] = [];
  store.onChange((snapshot) => seen.push(`${snapshot.counter} ${valueOf(snapshot, 's')}`));
  await store.create(name('s'), secret('v1'), PRIVATE);
  seen.push('created');
  await store.update(name('s'), { value: secret('v2') });
  seen.push('updated');
  // Its own events and the look at them come before those of this file.
  put(path('last'), '');
  await until(store, (snapshot) => snapshot.secrets.has(name('last')));
  assert.deepEqual(seen, ['1 v1', 'created', '2 v2', 'updated', '3 v2']);
});

test('an update changes what it names and keeps the rest', { skip: NEEDS_ROOT }, async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('v1'), { mode: 0o600, uid: 1, gid: 2 });
  const cases = [
    [{ value: secret('v2') }, 'v2', { mode: 0o600, uid: 1, gid: 2 }],
    [{ mode: 0o644 }, 'v2', { mode: 0o644, uid: 1, gid: 2 }],
    [{ uid: 3 }, 'v2', { mode: 0o644, uid: 3, gid: 2 }],
    [{ gid: 4, value: secret('') }, '', { mode: 0o644, uid: 3, gid: 4 }],
  ] as const;
  for (const [change, value, attributes] of cases) {
    assert.deepEqual((await store.update(name('s'), change)).attributes, attributes);
    assert.equal(valueOf(store.snapshot(), 's'), value);
    assert.equal(readFileSync(path('s'), 'utf8'), value);
    const { mode, uid, gid } = statSync(path('s'));
    assert.deepEqual({ mode: mode & 0o7777, uid, gid }, attributes);
  }
});

test('an update of the mode keeps a value that was written by hand just before', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('old'), PRIVATE);
  writeFileSync(path('s'), 'by hand');
  const updated = await store.update(name('s'), { mode: 0o640 });
  assert.equal(Buffer.from(updated.value.reveal()).toString(), 'by hand');
  assert.equal(readFileSync(path('s'), 'utf8'), 'by hand');
});

test('an update of the value keeps a mode that was changed by hand just before', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('old'), PRIVATE);
  chmodSync(path('s'), 0o644);
  assert.equal((await store.update(name('s'), { value: secret('new') })).attributes.mode, 0o644);
});

test('a removed secret is gone from the directory and the snapshot', async (t) => {
  const { store, path } = await openTestStore(t, { clock: new HeldClock() });
  await store.create(name('s'), secret('v'), PRIVATE);
  await store.remove(name('s'));
  assert.deepEqual(readdirSync(path()), []);
  assert.equal(store.snapshot().secrets.size, 0);
  assert.equal(store.snapshot().removed.get(name('s')), 2);
});

test('changes of what is not there, or is there already, are refused', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('v'), PRIVATE);
  symlinkSync('/etc/hostname', path('link'));
  await store.rescan();
  await assert.rejects(store.create(name('s'), secret('w'), PRIVATE), { code: 'secret_exists' });
  await assert.rejects(store.create(name('link'), secret('w'), PRIVATE), {
    code: 'secret_exists', message: '"link" is in the store but is not served: it is a symbolic link',
  });
  await assert.rejects(store.update(name('t'), { mode: 0 }), { code: 'secret_not_found', message: 'there is no secret "t"' });
  await assert.rejects(store.update(name('link'), { value: secret('w') }), { code: 'secret_not_found' });
  await assert.rejects(store.remove(name('t')), { code: 'secret_not_found' });
  await assert.rejects(store.remove(name('link')), { code: 'secret_not_found' });
  assert.equal(valueOf(store.snapshot(), 's'), 'v');
  assert.deepEqual(readdirSync(path()).sort(), ['link', 's']);
});

test('a file that came by hand an instant ago is not overwritten by create', async (t) => {
  const { store, path } = await openTestStore(t);
  put(path('s'), 'by hand');
  await assert.rejects(store.create(name('s'), secret('w'), PRIVATE), { code: 'secret_exists' });
  assert.equal(readFileSync(path('s'), 'utf8'), 'by hand');
});

test('a file that comes by hand while create writes is not overwritten', async (t) => {
  const { store, path } = await openTestStore(t);
  const creating = store.create(name('s'), secret('w'.repeat(SECRET_MAX_BYTES)), PRIVATE);
  await new Promise(setImmediate);
  put(path('s'), 'by hand');
  await assert.rejects(creating, { code: 'secret_exists' });
  assert.equal(readFileSync(path('s'), 'utf8'), 'by hand');
  assert.deepEqual(readdirSync(path()), ['s']);
});

test('a mode that is changed by hand while an update writes is kept', async (t) => {
  const { store, path } = await openTestStore(t);
  await store.create(name('s'), secret('old'), PRIVATE);
  const updating = store.update(name('s'), { value: secret('w'.repeat(SECRET_MAX_BYTES)) });
  await new Promise(setImmediate);
  chmodSync(path('s'), 0o644);
  assert.equal((await updating).attributes.mode, 0o644);
  assert.equal(statSync(path('s')).mode & 0o7777, 0o644);
  assert.equal(statSync(path('s')).size, SECRET_MAX_BYTES);
});

test('values over 1 MiB and impossible modes and owners are refused', async (t) => {
  const { store, path } = await openTestStore(t);
  const big = new Secret(new Uint8Array(SECRET_MAX_BYTES + 1));
  await assert.rejects(store.create(name('s'), big, PRIVATE), {
    code: 'value_too_large', message: 'secret "s" is 1048577 bytes, expected at most 1048576',
  });
  for (const mode of [-1, 0o1000, 0o4755, 1.5, Number.NaN]) {
    await assert.rejects(store.create(name('s'), secret('v'), { ...PRIVATE, mode }), { code: 'invalid_permissions' });
  }
  for (const id of [-1, 4294967295, 0.5]) {
    await assert.rejects(store.create(name('s'), secret('v'), { ...PRIVATE, uid: id }), { code: 'invalid_owner' });
    await assert.rejects(store.create(name('s'), secret('v'), { ...PRIVATE, gid: id }), { code: 'invalid_owner' });
  }
  assert.deepEqual(readdirSync(path()), []);
});

test('changes that are asked for at once are all made, in order', async (t) => {
  const { store } = await openTestStore(t);
  const versions: number[] = [];
  store.onChange((snapshot) => versions.push(snapshot.counter));
  const creating = store.create(name('s'), secret('v'), PRIVATE);
  const updates = Array.from({ length: 20 }, (_, index) => store.update(name('s'), index % 2 === 0
    ? { value: secret(`v${index}`) } : { mode: 0o600 + index }));
  const removing = store.remove(name('s'));
  await Promise.all([creating, ...updates, removing]);
  assert.deepEqual(versions, Array.from({ length: 22 }, (_, index) => index + 1));
});

test('any values and modes come back as they were, also after a restart', { skip: NEEDS_ROOT }, async (t) => {
  const id = fc.integer({ min: 0, max: 4294967294 });
  const names = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}$/);
  const content = fc.record({ value: fc.uint8Array({ maxLength: 5000 }), mode: fc.integer({ min: 0, max: 0o777 }), uid: id, gid: id });
  await fc.assert(fc.asyncProperty(fc.dictionary(names, content, { maxKeys: 5, noNullPrototype: true }), async (wanted) => {
    const directory = join(temporaryDirectory(t), '.secrets');
    const first = await openStore(directory);
    for (const [key, { value, ...attributes }] of Object.entries(wanted)) await first.create(name(key), new Secret(value), attributes);
    await first.close();
    const second = await openStore(directory);
    assert.deepEqual(contentOf(second.snapshot()), contentOf(first.snapshot()));
    assert.deepEqual(contentOf(second.snapshot()), Object.fromEntries(Object.entries(wanted).map(([key, { value, ...attributes }]) =>
      [key, { bytes: Buffer.from(value).toString('hex'), ...attributes }])));
    assert.notEqual(second.snapshot().epoch, first.snapshot().epoch);
    await second.close();
  }), { numRuns: 15 });
});

function contentOf(snapshot: Snapshot): Record<string, unknown> {
  return Object.fromEntries([...snapshot.secrets.values()].map((held) =>
    [held.name, { bytes: Buffer.from(held.value.reveal()).toString('hex'), ...held.attributes }]));
}

test('a full file system refuses a change as store_full and keeps the old value', async (t) => {
  const mountPoint = temporaryDirectory(t);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', mountPoint], { stdio: 'ignore' });
  } catch {
    t.skip('needs the right to mount a tmpfs');
    return;
  }
  const store = await openStore(join(mountPoint, '.secrets'));
  try {
    await store.create(name('s'), secret('old'), PRIVATE);
    const big = new Secret(Buffer.alloc(200_000, 'canary'));
    for (const change of [() => store.create(name('t'), big, PRIVATE), () => store.update(name('s'), { value: big })]) {
      const error = await change().then(() => undefined, (thrown: unknown) => thrown);
      assert.ok(error instanceof SlicerError);
      assert.equal(error.code, 'store_full');
      assert.doesNotMatch(error.message, /canary/);
    }
    assert.equal(valueOf(store.snapshot(), 's'), 'old');
    assert.deepEqual(readdirSync(join(mountPoint, '.secrets')), ['s']);
    await store.update(name('s'), { value: secret('new') });
  } finally {
    await store.close();
    execFileSync('umount', [mountPoint]);
  }
});

test('without root, one\'s own secrets work and another owner is refused', { skip: NEEDS_ROOT }, async (t) => {
  const parent = temporaryDirectory(t);
  chmodSync(parent, 0o711);
  mkdirSync(join(parent, '.secrets'), { mode: 0o700 });
  chownSync(join(parent, '.secrets'), 1000, 1000);
  process.setegid?.(1000);
  process.seteuid?.(1000);
  try {
    const store = await openStore(join(parent, '.secrets'));
    await store.create(name('mine'), secret('v'), { mode: 0o600, uid: 1000, gid: 1000 });
    await assert.rejects(store.create(name('his'), secret('v'), { mode: 0o600, uid: 0, gid: 0 }), {
      problems: [{
        code: 'store_not_writable',
        message: 'secret "his" is not changed: only root may give a file to another owner (EPERM)',
        hint: 'run slicer up as root, or give the secret an owner that it may: --uid=1000 --gid=1000',
      }],
    });
    assert.deepEqual(namesIn(store.snapshot()), ['mine']);
    await store.close();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
});

test('a closed store refuses changes and keeps its last snapshot', async (t) => {
  const { store } = await openTestStore(t);
  const creating = store.create(name('s'), secret('v'), PRIVATE);
  await store.close();
  await creating;
  assert.equal(valueOf(store.snapshot(), 's'), 'v');
  await assert.rejects(store.remove(name('s')), { code: 'shutting_down' });
});
