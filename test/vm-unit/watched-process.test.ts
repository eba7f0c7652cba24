import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const HIGH = 40;
const MODULE = new URL('../../src/vm/watched-process.ts', import.meta.url).href;

test('a process of a VM sees what it is given, and nothing of its starter\'s descriptors and environment', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-process-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'held');
  writeFileSync(file, '');
  const held = openSync(file, 'r');
  t.after(() => closeSync(held));
  const script = `import { startProcess } from '${MODULE}';
    import { openSync } from 'node:fs';
    const given = openSync('/dev/zero', 'r');
    const { process: started } = await startProcess({
      role: 'vmm', program: '/bin/sh', argv: ['-c', 'ls -l /proc/$$/fd; tr "\\\\0" "\\\\n" < /proc/$$/environ'],
      stdio: ['ignore', 1, 2, given], vmDirectory: '/vm', setpriv: '/usr/bin/setpriv',
    });
    await started.ended;`;
  // Open in the starter as a lock of its caller would be. (Node closes the lowest ones for its children by itself.)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    env: { SLICER_TOKEN: 'canary' }, cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit', ...Array.from({ length: HIGH - 3 }, () => 'ignore' as const), held],
  });
  const seen = await text(child.stdout as Readable);
  assert.match(seen, / 3 -> \/dev\/zero$/m);
  assert.match(seen, new RegExp(` ${HIGH} -> /dev/null$`, 'm'));
  assert.doesNotMatch(seen, /held|canary/);
  assert.match(seen, /^SLICER_VM=\/vm$/m);
});
