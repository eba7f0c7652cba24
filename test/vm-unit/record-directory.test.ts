import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AttachedRecord } from '../../src/vm/record.ts';
import { RecordDirectory, recordOfDamaged } from '../../src/vm/record-directory.ts';

const uid = (process.geteuid as () => number)();

const record: AttachedRecord = {
  version: 1, kind: 'attached', hostname: 'web-1', grant: 'all', tags: [], created_at_ms: 5, vsock_path: '/run/x.vsock',
};

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-records-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a record is created, replaced, read and removed, readable by its owner alone', async (t) => {
  const records = await RecordDirectory.open(temporaryDirectory(t), uid);
  await records.create(record);
  await records.replace({ ...record, tags: ['new'] });
  assert.deepEqual((await records.readAll()).map((found) => found.record), [{ ...record, tags: ['new'] }]);
  assert.deepEqual(readdirSync(records.of('web-1')), ['vm.json']);
  assert.equal(statSync(join(records.of('web-1'), 'vm.json')).mode & 0o7777, 0o600);
  for (const directory of [records.of('web-1'), records.path, join(records.path, '..')]) {
    assert.equal(statSync(directory).mode & 0o7777, 0o700);
  }
  await records.remove('web-1');
  await records.remove('web-1');
  assert.deepEqual(readdirSync(records.path), []);
});

test('a VM that is there is not created over', async (t) => {
  const records = await RecordDirectory.open(temporaryDirectory(t), uid);
  await records.create(record);
  await assert.rejects(records.create({ ...record, tags: ['other'] }));
  assert.deepEqual((await records.readAll())[0]?.record, record);
});

test('what a crash left half-made or half-removed is cleared', async (t) => {
  const daemonDirectory = temporaryDirectory(t);
  const { path } = await RecordDirectory.open(daemonDirectory, uid);
  for (const leftover of ['.coming-web-1', '.going-web-2']) {
    mkdirSync(join(path, leftover));
    writeFileSync(join(path, leftover, 'vm.json'), '{');
  }
  const records = await RecordDirectory.open(daemonDirectory, uid);
  assert.deepEqual(readdirSync(path), []);
  await records.create(record);
  assert.ok(existsSync(records.of('web-1')));
});

for (const [name, lay] of [
  ['cut short', (file: string) => writeFileSync(file, '{"version": 1,')],
  ['empty', (file: string) => writeFileSync(file, '')],
  ['missing', () => undefined],
  ['a directory', (file: string) => mkdirSync(file)],
] as const) {
  test(`a record that is ${name} is found as damaged, and the others are read`, async (t) => {
    const records = await RecordDirectory.open(temporaryDirectory(t), uid);
    await records.create(record);
    mkdirSync(records.of('web-2'));
    lay(join(records.of('web-2'), 'vm.json'));
    const [good, bad] = (await records.readAll()).toSorted((a, b) => (a.hostname < b.hostname ? -1 : 1));
    assert.deepEqual(good?.record, record);
    assert.equal(bad?.record, undefined);
    assert.match(bad?.damage ?? '', /^the record of vm "web-2"/);
    const standIn = recordOfDamaged(bad!, '/run/slicer-0/0123abcd');
    assert.equal(standIn.status, 'failed');
    assert.equal(standIn.reason, bad?.damage);
    assert.deepEqual(standIn.grant, []);
  });
}

const planted: readonly [string, (records: string) => void][] = [
  ['is open to others', (records) => chmodSync(records, 0o755)],
  ['is somebody else\'s', (records) => chownSync(records, 1000, 1000)],
  ['is a link', (records) => {
    renameSync(records, `${records}.real`);
    symlinkSync(`${records}.real`, records);
  }],
];
for (const [how, plant] of planted) {
  for (const place of ['.slicer', '.slicer/vms']) {
    test(`records in a ${place} that ${how} are not read`, { skip: uid !== 0 && 'run as root' }, async (t) => {
      const daemonDirectory = temporaryDirectory(t);
      mkdirSync(join(daemonDirectory, '.slicer/vms'), { recursive: true, mode: 0o700 });
      plant(join(daemonDirectory, place));
      await assert.rejects(RecordDirectory.open(daemonDirectory, uid), { code: 'store_not_private' });
    });
  }
}
