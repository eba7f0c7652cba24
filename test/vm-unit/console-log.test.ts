import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { readConsole, readLastLines, startConsole } from '../../src/vm/console-log.ts';
import { missingPart, realPrograms } from './vm-fixture.ts';

const skip = await missingPart();

function vmDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-console-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

const table: [string, Record<string, string>, number, string][] = [
  ['that is not there is empty', {}, 0, ''],
  ['is read whole for 0', { 'console.log': 'a\nb\n' }, 0, 'a\nb\n'],
  ['gives its last lines', { 'console.log': 'a\nb\nc\n' }, 2, 'b\nc\n'],
  ['gives no more than there is', { 'console.log': 'a\n' }, 20, 'a\n'],
  ['goes on from the older file', { 'console.log.1': 'a\nb', 'console.log': 'b\nc\n' }, 0, 'a\nbb\nc\n'],
  ['is the older file while the next has not begun', { 'console.log.1': 'a\n' }, 5, 'a\n'],
  ['shows a line that has not ended', { 'console.log': 'a\nlogin: ' }, 1, 'login: \n'],
  ['keeps control characters, for whoever prints it to escape', { 'console.log': '\u001b[2Jx\r\n' }, 0, '\u001b[2Jx\r\n'],
];
for (const [name, files, lines, expected] of table) {
  test(`a console log ${name}`, async (t) => {
    const directory = vmDirectory(t);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
    const { content, lines: count } = await readConsole(directory, lines);
    assert.equal(content, expected);
    assert.equal(count, expected.split('\n').length - 1);
  });
}

test('bytes that are no UTF-8 are replaced', async (t) => {
  const directory = vmDirectory(t);
  writeFileSync(join(directory, 'console.log'), Buffer.from([0x61, 0xff, 0x0a]));
  assert.equal((await readConsole(directory, 0)).content, 'a\ufffd\n');
});

test('last lines are without the carriage returns of a terminal', async (t) => {
  const directory = vmDirectory(t);
  writeFileSync(join(directory, 'console.log'), 'a\r\nb\r\r\nc');
  assert.deepEqual(await readLastLines(directory, 2), ['b', 'c']);
});

test('a guest that floods its console keeps its last lines and at most 1 MiB on disk', { skip }, async (t) => {
  const directory = vmDirectory(t);
  const { process: log, targetsOf } = await startConsole(directory, await realPrograms());
  const sink = targetsOf({ filtersStderr: false })[0] as Writable;
  const count = 300_000;
  for (let first = 0; first < count; first += 10_000) {
    const block = Array.from({ length: 10_000 }, (_, index) => `line ${first + index}\n`).join('');
    await new Promise((resolve) => sink.write(block, resolve));
  }
  sink.end();
  assert.equal(await log?.ended, 'ended with exit code 0');
  const files = readdirSync(directory).map((file) => statSync(join(directory, file)));
  const kept = files.reduce((sum, { size }) => sum + size, 0);
  assert.ok(kept > 256 * 1024 && kept <= 1024 * 1024, `${kept} bytes`);
  assert.ok(files.every(({ mode }) => (mode & 0o7777) === 0o600));
  assert.deepEqual(await readLastLines(directory, 2), [`line ${count - 2}`, `line ${count - 1}`]);
  const all = await readLastLines(directory, 0);
  const numbers = all.slice(1).map((line) => Number(line.split(' ')[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number === numbers[index - 1]! + 1));
});
