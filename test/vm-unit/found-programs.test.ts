import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findPrograms } from '../../src/vm/found-programs.ts';

test('a VMM that is installed while the daemon runs is found at the next launch', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-programs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const programs = await findPrograms(`bin:${directory}`);
  assert.equal(programs.firecracker, '/usr/bin/firecracker');
  writeFileSync(join(directory, 'firecracker'), '', { mode: 0o755 });
  assert.equal(programs.firecracker, join(directory, 'firecracker'));
});
