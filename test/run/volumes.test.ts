import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RunVolume } from '../../src/config/run-file.ts';
import { makeVolumes, volumeProblems } from '../../src/run/volumes.ts';
import { processWith } from '../temporary/process-with.ts';

const PATH = process.env['PATH'] ?? '';
const skip = existsSync('/usr/sbin/mkfs.ext4') || existsSync('/sbin/mkfs.ext4') ? false : 'mkfs.ext4 is not there: apt-get install e2fsprogs';
const forever = new AbortController().signal;
const MIB = 1024 ** 2;

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-volumes-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const volume = (path: string, label?: string, sizeBytes = 8 * MIB): RunVolume => ({ path, readOnly: false, create: { sizeBytes, fsType: 'ext4', label } });

test('a disk that is not there is made: sparse, for the owner alone, with its file system and label', { skip }, async (t) => {
  const path = join(directory(t), 'data,1.img');
  const said: string[] = [];
  await makeVolumes([volume(path, 'my-data')], PATH, (fact) => said.push(fact), forever);
  const { size, mode, blocks } = statSync(path);
  assert.deepEqual([size, mode & 0o777, blocks * 512 < size], [8 * MIB, 0o600, true]);
  const image = readFileSync(path);
  // ext4: the superblock is at 1024, its magic number at 0x38 in it and the volume's name at 0x78.
  assert.equal(image.readUInt16LE(1024 + 0x38), 0xef53);
  assert.equal(image.toString('latin1', 1024 + 0x78, 1024 + 0x78 + 7), 'my-data');
  assert.deepEqual(said, [`disk ${path} made: 8 MiB, ext4`]);
});

test('a disk that is there is left as it is', { skip }, async (t) => {
  const path = join(directory(t), 'data.img');
  writeFileSync(path, 'content');
  await makeVolumes([volume(path)], PATH, () => assert.fail('nothing is made'), forever);
  assert.equal(readFileSync(path, 'utf8'), 'content');
});

test('a disk that can not be made leaves nothing, and the error says why', { skip }, async (t) => {
  const parent = directory(t);
  // ext4 has no room in this.
  await assert.rejects(makeVolumes([volume(join(parent, 'small.img'), 'x', 512)], PATH, () => undefined, forever), /the disk .*small\.img can't be made: .+/);
  await assert.rejects(makeVolumes([volume(join(parent, 'no/data.img'))], PATH, () => undefined, forever), { code: 'launch_failed', message: /can't be made: ENOENT$/ });
  const interrupted = new AbortController();
  interrupted.abort(new Error('asked to end'));
  await assert.rejects(makeVolumes([volume(join(parent, 'late.img'))], PATH, () => undefined, interrupted.signal), /asked to end/);
  assert.deepEqual(readdirSync(parent), []);
});

test('what a process that was killed has left beside a disk is removed, whether or not the disk is there', { skip }, async (t) => {
  const parent = directory(t);
  const left = (number: number): string => join(parent, `.slicer-4194305-000000000000000${number}.tmp`);
  writeFileSync(left(1), 'half of a file system');
  await makeVolumes([volume(join(parent, 'data.img'))], PATH, () => undefined, forever);
  assert.deepEqual(readdirSync(parent), ['data.img']);
  // Killed between link and unlink.
  linkSync(join(parent, 'data.img'), left(2));
  const ofAnother = `.slicer-${processWith(t, parent)}-0000000000000003.tmp`;
  writeFileSync(join(parent, ofAnother), 'being made');
  await makeVolumes([volume(join(parent, 'data.img'))], PATH, () => assert.fail('nothing is made'), forever);
  assert.deepEqual(readdirSync(parent), [ofAnother, 'data.img']);
});

test('what is wrong with disks is told before anything is made', async (t) => {
  const parent = directory(t);
  mkdirSync(join(parent, 'folder'));
  execFileSync('mkfifo', [join(parent, 'pipe')]);
  writeFileSync(join(parent, 'there'), '');
  const given = (name: string): RunVolume => ({ path: join(parent, name), readOnly: false, create: undefined });
  const problems = await volumeProblems([given('there'), given('gone'), given('folder'), given('pipe'), { ...volume(join(parent, 'new')), create: { sizeBytes: MIB, fsType: 'xfs', label: undefined } }], '/nonexistent');
  const facts = problems.map(({ message }) => message.replace(parent, 'DIR'));
  assert.deepEqual(facts.slice(0, 3), ['the disk DIR/gone does not exist', 'the disk DIR/folder is neither a file nor a block device', 'the disk DIR/pipe is neither a file nor a block device']);
  if (!existsSync('/usr/sbin/mkfs.xfs') && !existsSync('/sbin/mkfs.xfs')) assert.deepEqual(facts.slice(3), ["the disk DIR/new can't be made: there is no mkfs.xfs"]);
});
