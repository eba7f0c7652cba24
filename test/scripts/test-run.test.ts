import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';

const MODULE = resolve(import.meta.dirname, '../../scripts/test-run.ts');

/** What a run of these files, one in each group, prints, and whether it passed. */
function outcome(t: TestContext, ...sources: string[]): { text: string; passed: boolean } {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-runs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const groups = sources.map((source, index) => {
    const file = join(directory, `${index}.test.mjs`);
    writeFileSync(file, `import { test } from 'node:test';\n${source}`);
    return { files: [file], concurrency: 1 };
  });
  const script = join(directory, 'run.mjs');
  writeFileSync(script, `
    import { runTests } from ${JSON.stringify(MODULE)};
    process.exitCode = (await runTests(${JSON.stringify(groups)}, 10_000, process.stdout)) ? 0 : 1;`);
  // Without it node would take the run for a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout, status } = spawnSync(process.execPath, [script], { encoding: 'utf8', env });
  return { text: stdout, passed: status === 0 };
}

const PASSES = "test('passes', () => {});";

test('the closing lines count the tests of all groups, once', (t) => {
  const { text, passed } = outcome(t, `${PASSES} test('skipped', { skip: true }, () => {});`, PASSES);
  assert.ok(passed);
  assert.deepEqual(text.match(/^. (tests|pass|fail|skipped) \d+$/gmu)?.map((line) => line.slice(2)), ['tests 3', 'pass 2', 'fail 0', 'skipped 1']);
});

test('a failure in any group fails the run', (t) => {
  assert.ok(!outcome(t, "test('fails', () => { throw new Error('no'); });", PASSES).passed);
  assert.ok(!outcome(t, PASSES, "test('fails', () => { throw new Error('no'); });").passed);
});

test('a file that can not be loaded fails the run', (t) => {
  assert.ok(!outcome(t, PASSES, "import './nowhere.mjs';").passed);
});

test('a run without any test is no success', (t) => {
  assert.ok(!outcome(t).passed);
});

test('what a test says about itself is not counted', (t) => {
  const { text } = outcome(t, "test('talks', (t) => t.diagnostic('tests 100'));");
  assert.deepEqual(text.match(/^. tests 1$/gmu)?.length, 1);
});
