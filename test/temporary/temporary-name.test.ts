import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isLeftover, isTemporaryName, temporaryName } from '../../src/temporary/temporary-name.ts';
import { processWith } from './process-with.ts';

const UNIQUE = '0123456789abcdef';

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-temporary-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a temporary name is known as one, and no other is', () => {
  assert.ok(isTemporaryName(temporaryName(UNIQUE)));
  for (const name of ['api-key', '.slicer-note', `.slicer-0-${UNIQUE}.tmp`, `.slicer-1-${UNIQUE}0.tmp`, `x.slicer-1-${UNIQUE}.tmp`, `.slicer-1-${UNIQUE}.tmp\n`]) {
    assert.equal(isTemporaryName(name), false, name);
  }
});

test('what a running process is at work on is not taken for left', (t) => {
  const directory = temporaryDirectory(t);
  assert.equal(isLeftover(directory, `.slicer-${processWith(t, directory)}-${UNIQUE}.tmp`), false);
});

test('what a process that is no more has left is known, also when its id has come round again', (t) => {
  const directory = temporaryDirectory(t);
  // No process has an id over the kernel's highest limit of 2^22.
  assert.ok(isLeftover(directory, `.slicer-4194305-${UNIQUE}.tmp`));
  assert.ok(isLeftover(directory, `.slicer-${processWith(t, temporaryDirectory(t))}-${UNIQUE}.tmp`));
  assert.ok(isLeftover(directory, temporaryName(UNIQUE)), 'of this process, of before');
  assert.equal(isLeftover(directory, '.slicer-note'), false);
});
