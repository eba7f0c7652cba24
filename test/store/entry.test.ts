import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, lstatSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { modifiedAtMsOf, observe, readUnchanged, stampOf, type Stamp } from '../../src/store/entry.ts';
import { Ledger } from '../../src/store/ledger.ts';
import { Tracker } from '../../src/store/tracker.ts';
import { HeldClock, name, put, secret, temporaryDirectory, valueOf } from './store-fixture.ts';

const stampAt = (path: string): Stamp => stampOf(lstatSync(path, { bigint: true }));

test('a file is read when it is the one that was looked at', (t) => {
  const path = join(temporaryDirectory(t), 's');
  put(path, 'value');
  assert.deepEqual(readUnchanged(path, stampAt(path)), { kind: 'bytes', bytes: new Uint8Array(Buffer.from('value')) });
});

test('a file that changed between the look and the read is not read', (t) => {
  const path = join(temporaryDirectory(t), 's');
  for (const change of [() => appendFileSync(path, '!'), () => chmodSync(path, 0o640), () => unlinkSync(path)]) {
    put(path, 'value');
    const stamp = stampAt(path);
    change();
    assert.deepEqual(readUnchanged(path, stamp), { kind: 'changed' });
  }
});

test('a link that takes the place of a file is not followed', (t) => {
  const directory = temporaryDirectory(t);
  put(join(directory, 'target'), 'value');
  symlinkSync('target', join(directory, 's'));
  assert.deepEqual(readUnchanged(join(directory, 's'), stampAt(join(directory, 'target'))), { kind: 'changed' });
});

test('a FIFO that takes the place of a file does not hold up the reader', (t) => {
  const path = join(temporaryDirectory(t), 's');
  put(path, 'value');
  const stamp = stampAt(path);
  unlinkSync(path);
  execFileSync('mkfifo', [path]);
  assert.deepEqual(readUnchanged(path, stamp), { kind: 'changed' });
});

test('a look at a path that leads nowhere says that there is nothing', (t) => {
  const directory = temporaryDirectory(t);
  put(join(directory, 'file'), '');
  assert.deepEqual(observe(join(directory, 'none')), { kind: 'absent' });
  assert.deepEqual(observe(join(directory, 'file', 'below')), { kind: 'unknown', reason: 'cannot be read: ENOTDIR' });
});

test('a write in the same tick as the store\'s own, which no stamp shows, is found once the file is still', (t) => {
  const directory = temporaryDirectory(t);
  const clock = new HeldClock();
  const ledger = new Ledger('0123456789abcdef');
  const tracker = new Tracker({ directory, ledger, clock, isUsable: () => true, onTaken: () => undefined, onSettled: () => ledger.commit() });
  put(join(directory, 's'), 'by hand');
  ledger.put(name('s'), { value: secret('own'), attributes: { mode: 0o600, uid: 0, gid: 0 }, modifiedAtMs: 0 });
  tracker.wrote(name('s'), stampAt(join(directory, 's')));
  tracker.look('s');
  ledger.commit();
  assert.equal(valueOf(ledger.snapshot, 's'), 'own');
  clock.advance(50);
  assert.equal(valueOf(ledger.snapshot, 's'), 'by hand');
});

test('a look that fails for another cause than the file takes nothing away and is listed', (t) => {
  const directory = temporaryDirectory(t);
  put(join(directory, 'file'), '');
  const ledger = new Ledger('0123456789abcdef');
  const clock = new HeldClock();
  const tracker = new Tracker({
    directory: join(directory, 'file'), ledger, clock, isUsable: () => true, onTaken: () => undefined, onSettled: () => undefined,
  });
  ledger.put(name('s'), { value: secret('v'), attributes: { mode: 0o600, uid: 0, gid: 0 }, modifiedAtMs: 0 });
  tracker.look('s');
  ledger.commit();
  assert.equal(valueOf(ledger.snapshot, 's'), 'v');
  assert.deepEqual(ledger.snapshot.skipped, [{ file: 's', reason: 'cannot be read: ENOTDIR' }]);
});

test('a time beyond all dates is the last date', (t) => {
  const path = join(temporaryDirectory(t), 's');
  put(path, 'value');
  const at = (mtimeNs: bigint): string => new Date(modifiedAtMsOf({ ...stampAt(path), mtimeNs })).toISOString();
  assert.equal(at(99_999_999_999_999n * 1_000_000_000n), '+275760-09-13T00:00:00.000Z');
  assert.equal(at(-99_999_999_999_999n * 1_000_000_000n), '-271821-04-20T00:00:00.000Z');
  assert.equal(at(1_700_000_000_123_456_789n), '2023-11-14T22:13:20.123Z');
});
