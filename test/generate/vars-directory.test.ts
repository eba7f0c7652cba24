import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SlicerError, type Problem } from '../../src/errors/slicer-error.ts';
import { openVars, type NewFile, type VarsDirectory } from '../../src/generate/vars-directory.ts';
import { Secret } from '../../src/secret/secret.ts';
import { processWith } from '../temporary/process-with.ts';
import { ownUid, temporaryDirectory, textOf } from './generate-fixture.ts';

const base = temporaryDirectory();
let count = 0;
const fresh = (): string => join(base, `vars-${(count += 1)}`);
const open = (path: string): VarsDirectory => openVars(path, ownUid());
const PLACE = { machine: 'm', generator: 'g' };
const files = (values: Readonly<Record<string, string>>): NewFile[] =>
  Object.entries(values).map(([name, value]) => ({ name, secret: !name.endsWith('.pub'), value: new Secret(Buffer.from(value)) }));
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const problemOf = (act: () => unknown): Problem => {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof SlicerError);
    return error.problems[0];
  }
  return assert.fail('nothing was thrown');
};

test('values are read as they were written, secret ones closed to others, public ones open, whatever the umask', () => {
  const umask = process.umask(0o277);
  try {
    const path = fresh();
    const vars = open(path);
    assert.deepEqual(vars.list(PLACE), []);
    assert.ok(!existsSync(path), 'looking makes nothing');
    vars.write(PLACE, files({ key: 'secret', 'key.pub': 'public' }), false);
    assert.equal(textOf(vars.read({ ...PLACE, file: 'key' })), 'secret');
    assert.deepEqual(['', 'm', 'm/g', 'm/g/key', 'm/g/key.pub'].map((each) => modeOf(join(path, each))), ['700', '700', '700', '400', '444']);
    assert.deepEqual(vars.list(PLACE), [{ name: 'key', problem: undefined, isPublic: false }, { name: 'key.pub', problem: undefined, isPublic: true }]);
    assert.deepEqual(readdirSync(join(path, 'm')), ['g']);
  } finally {
    process.umask(umask);
  }
});

test('values that are there are replaced all at once, and only when that is meant', () => {
  const path = fresh();
  const vars = open(path);
  vars.write(PLACE, files({ a: 'one', b: 'one' }), false);
  assert.equal(problemOf(() => vars.write(PLACE, files({ a: 'two' }), false)).code, 'value_exists');
  assert.deepEqual([vars.list(PLACE).length, textOf(vars.read({ ...PLACE, file: 'a' }))], [2, 'one']);
  vars.write(PLACE, files({ a: 'two' }), true);
  assert.deepEqual([vars.list(PLACE).map(({ name }) => name), textOf(vars.read({ ...PLACE, file: 'a' }))], [['a'], 'two']);
  assert.deepEqual(readdirSync(join(path, 'm')), ['g']);
});

test('what can\'t be written whole leaves what was there', () => {
  const path = fresh();
  const vars = open(path);
  vars.write(PLACE, files({ a: 'one' }), false);
  const twice = [...files({ a: 'two', b: 'two' }), ...files({ b: 'three' })];
  assert.match(problemOf(() => vars.write(PLACE, twice, true)).message, /can't be written: EEXIST|is there already/);
  assert.equal(textOf(vars.read({ ...PLACE, file: 'a' })), 'one');
  assert.deepEqual(readdirSync(join(path, 'm')), ['g']);
});

// The states between the steps of a replacement, as a kill would leave them. The process id is above the highest there can be.
const TEMPORARY = '.slicer-4194305-0123456789abcdef.tmp';
const STATES: readonly (readonly [string, (machine: string) => void, string])[] = [
  ['while the new files are written', (machine) => mkdirSync(join(machine, TEMPORARY, 'new/g'), { recursive: true }), 'one'],
  ['before the old ones are put aside', (machine) => {
    mkdirSync(join(machine, TEMPORARY, 'new/g'), { recursive: true });
    mkdirSync(join(machine, TEMPORARY, 'old'));
    writeFileSync(join(machine, TEMPORARY, 'new/g/a'), 'two', { mode: 0o400 });
  }, 'one'],
  ['when the old ones are put aside', (machine) => {
    mkdirSync(join(machine, TEMPORARY, 'new/g'), { recursive: true });
    mkdirSync(join(machine, TEMPORARY, 'old'));
    writeFileSync(join(machine, TEMPORARY, 'new/g/a'), 'two', { mode: 0o400 });
    renameSync(join(machine, 'g'), join(machine, TEMPORARY, 'old/g'));
  }, 'one'],
  ['when the new ones are in their place', (machine) => {
    mkdirSync(join(machine, TEMPORARY, 'old'), { recursive: true });
    renameSync(join(machine, 'g'), join(machine, TEMPORARY, 'old/g'));
    mkdirSync(join(machine, 'g'), { mode: 0o700 });
    writeFileSync(join(machine, 'g/a'), 'two', { mode: 0o400 });
  }, 'two'],
];
for (const [when, leave, expected] of STATES) {
  test(`a process that is killed ${when} leaves the values of one time, and the next clears the rest`, () => {
    const path = fresh();
    open(path).write(PLACE, files({ a: 'one' }), false);
    leave(join(path, 'm'));
    assert.equal(textOf(open(path).read({ ...PLACE, file: 'a' })), expected);
    assert.deepEqual(readdirSync(join(path, 'm')), ['g']);
  });
}

test('what a running process is at work on is left alone', (t) => {
  const path = fresh();
  open(path).write(PLACE, files({ a: 'one' }), false);
  const name = `.slicer-${processWith(t, join(path, 'm'))}-0123456789abcdef.tmp`;
  mkdirSync(join(path, 'm', name));
  open(path);
  assert.deepEqual(readdirSync(join(path, 'm')), [name, 'g']);
});

test('a directory that is open to others, a link or somebody else\'s is refused before anything is read', () => {
  const path = fresh();
  open(path).write(PLACE, files({ a: 'one' }), false);
  assert.match(problemOf(() => openVars(path, ownUid() + 1)).message, new RegExp(`is owned by user ${ownUid()}, expected ${ownUid() + 1}`));
  for (const below of ['', 'm', 'm/g']) {
    chmodSync(join(path, below), 0o750);
    assert.match(problemOf(() => open(path).read({ ...PLACE, file: 'a' })).message, /is open to others: it has mode 0750, expected 0700/);
    chmodSync(join(path, below), 0o700);
  }
  renameSync(join(path, 'm/g'), join(base, 'elsewhere'));
  symlinkSync(join(base, 'elsewhere'), join(path, 'm/g'));
  assert.equal(problemOf(() => open(path).list(PLACE)).code, 'store_not_private');
  assert.equal(problemOf(() => open(path).write(PLACE, files({ a: 'two' }), true)).code, 'store_not_private');
});

test('a file that is no value is named with why, and never read', () => {
  const path = fresh();
  const vars = open(path);
  vars.write(PLACE, files({ link: 'x', directory: 'x', open: 'x', empty: 'x', good: 'x' }), false);
  const place = join(path, 'm/g');
  rmSync(join(place, 'link'));
  symlinkSync('good', join(place, 'link'));
  rmSync(join(place, 'directory'));
  mkdirSync(join(place, 'directory'));
  chmodSync(join(place, 'open'), 0o666);
  rmSync(join(place, 'empty'));
  writeFileSync(join(place, 'empty'), '', { mode: 0o400 });
  assert.deepEqual(vars.list(PLACE).map(({ name, problem }) => ({ name, problem })), [
    { name: 'directory', problem: 'is no regular file' }, { name: 'empty', problem: 'is empty' }, { name: 'good', problem: undefined },
    { name: 'link', problem: 'is a symbolic link' }, { name: 'open', problem: 'has mode 0666: others may write to it' },
  ]);
  for (const file of ['link', 'directory', 'open', 'empty']) assert.equal(problemOf(() => vars.read({ ...PLACE, file })).code, 'store_not_private');
  assert.equal(problemOf(() => vars.read({ ...PLACE, file: 'absent' })).message, '"g/absent" of machine "m" is not there');
});

test('what lies in the directory besides is in nobody\'s way', () => {
  const path = fresh();
  open(path).write(PLACE, files({ a: 'one' }), false);
  writeFileSync(join(path, '.gitignore'), '*\n');
  symlinkSync('nothing', join(path, 'link'));
  mkdirSync(join(path, 'elsewhere'), { mode: 0o755 });
  assert.equal(textOf(open(path).read({ ...PLACE, file: 'a' })), 'one');
});
