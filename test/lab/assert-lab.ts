// A run of the nested lab as one test: each test in it is a line of this one's report.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { beginStages } from '../../scripts/stage.ts';
import { runLab, type LabOptions } from './lab.ts';

/** Throws the whole report where a test in it failed. */
export async function assertLabPasses(t: TestContext, options: Omit<LabOptions, 'output' | 'stages' | 'signal'>): Promise<void> {
  const output = new PassThrough();
  const written = text(output);
  const exitCode = await runLab({
    ...options, output, stages: beginStages({ output: { write: () => true } }), signal: t.signal,
  }).finally(() => output.end());
  const report = await written;
  for (const line of report.split('\n').filter((each) => /^[✔✖﹣]/.test(each))) t.diagnostic(line);
  assert.equal(exitCode, 0, report);
}
