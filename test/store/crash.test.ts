import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openStore } from '../../src/store/store.ts';
import { processWith } from '../temporary/process-with.ts';
import { name, put, temporaryDirectory, valueOf } from './store-fixture.ts';

// The test runner runs only *.test.ts; this one says how far it was acknowledged.
const WRITER = join(import.meta.dirname, 'endless-writer.ts');

test('a process that is killed in the middle of changes loses none that was acknowledged and leaves nothing behind', async (t) => {
  const directory = join(temporaryDirectory(t), '.secrets');
  for (let round = 0; round < 3; round += 1) {
    const writer = spawn(process.execPath, [WRITER, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    let acknowledged = -1;
    const ended = new Promise((resolve) => writer.on('close', resolve));
    createInterface({ input: writer.stdout }).on('line', (line) => {
      acknowledged = Number(line);
      if (acknowledged === 20 + round) writer.kill('SIGKILL');
    });
    await ended;
    assert.ok(acknowledged >= 20 + round, 'the writer ended by itself');
    const store = await openStore(directory);
    const value = valueOf(store.snapshot(), 's') ?? '';
    await store.close();
    assert.deepEqual(readdirSync(directory), ['s']);
    const [number = '', ...rest] = value.split(' ');
    assert.ok(Number(number) >= acknowledged, `${acknowledged} was acknowledged, ${number} is there`);
    assert.equal(rest.join(' '), 'x'.repeat(20_000));
  }
});

test('what a killed process left is removed at the next start, and what a running one writes is not', async (t) => {
  const directory = join(temporaryDirectory(t), '.secrets');
  mkdirSync(directory, { mode: 0o700 });
  put(join(directory, 's'), 'v');
  // Killed between link and unlink: the secret is there, under two names.
  linkSync(join(directory, 's'), join(directory, `.slicer-${process.pid}-0000000000000001.tmp`));
  // No process has an id over the kernel's highest limit of 2^22.
  writeFileSync(join(directory, '.slicer-4194305-0000000000000002.tmp'), 'half');
  // Its number came round again: it is another process now.
  writeFileSync(join(directory, '.slicer-1-0000000000000004.tmp'), 'half');
  const ofAnother = `.slicer-${processWith(t, directory)}-0000000000000003.tmp`;
  writeFileSync(join(directory, ofAnother), 'half');
  writeFileSync(join(directory, '.slicer-note'), 'not ours');
  const store = await openStore(directory);
  t.after(() => store.close());
  assert.deepEqual(readdirSync(directory).sort(), [ofAnother, '.slicer-note', 's']);
  assert.equal(valueOf(store.snapshot(), 's'), 'v');
  assert.deepEqual(store.snapshot().skipped.map(({ file }) => file), ['.slicer-note']);
  assert.ok(store.snapshot().secrets.has(name('s')));
});
