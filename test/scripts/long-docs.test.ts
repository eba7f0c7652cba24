// The table of the long tests' last run, made of a run of files that pass, fail, are skipped and count something.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');

const FILES = {
  storm: `
    test('one', (t) => t.diagnostic('in all: 7 reads'));
    test('two', async (t) => { t.diagnostic('a detail'); await t.test('part', () => { throw new Error('no'); }); });
    test('three', { skip: 'not here' });`,
  other: `
    test('four', () => undefined);
    test('five', (t) => t.diagnostic('in all: 1'));
    test('six', (t) => t.diagnostic('in all: 2'));`,
};

test('each file has a row with what passed, failed and was skipped, and what its tests counted in all', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-long-docs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const groups = Object.entries(FILES).map(([name, source]) => {
    const file = join(directory, `${name}.test.mjs`);
    writeFileSync(file, `import { test } from 'node:test';\n${source}`);
    return { files: [file], concurrency: 1 };
  });
  writeFileSync(join(directory, 'run.mjs'), `
    import { PassThrough } from 'node:stream';
    import { LongResults } from ${JSON.stringify(join(SCRIPTS, 'long-docs.ts'))};
    import { runTests } from ${JSON.stringify(join(SCRIPTS, 'test-run.ts'))};
    const results = new LongResults();
    await runTests(${JSON.stringify(groups)}, 60_000, new PassThrough().resume(), results.observe);
    console.log(results.table());`);
  // Without it node would take the run for a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const rows = execFileSync(process.execPath, [join(directory, 'run.mjs')], { encoding: 'utf8', env }).trimEnd().split('\n').slice(2);
  assert.deepEqual(rows.map((row) => row.replace(/ \d+\.\d \|/, '')), ['| `long/storm` | 1 | 1 | 1 | 7 reads |', '| `long/other` | 3 | 0 | 0 | 1; 2 |']);
});
