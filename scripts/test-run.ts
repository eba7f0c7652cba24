// Runs test files as `node --test` does, in groups one after the other, with one report and one summary:
// node's closing lines count all tests of all groups.
import { type EventData, run } from 'node:test';
import { spec } from 'node:test/reporters';
import { PassThrough, type Writable } from 'node:stream';

export interface TestGroup {
  readonly files: readonly string[];
  /** How many files run at the same time. */
  readonly concurrency: number;
  /** For files that may take longer than the others. */
  readonly fileTimeoutMs?: number;
}

/** The lines that end a run, `tests 12` and so on: those of all groups are added up. */
const SUMMARY = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

/** Of what node tells of a run, the members that somebody looks at here. */
export interface TestEvent {
  readonly type: string;
  readonly data: Partial<EventData.TestDiagnostic & Pick<EventData.TestPass, 'skip' | 'details'>>;
}

/** Whether all tests passed. A file that takes longer than `fileTimeoutMs`, or its group's, fails. `observe` is told of what happens in which group. */
export async function runTests(
  groups: readonly TestGroup[], fileTimeoutMs: number, output: Writable, observe: (event: TestEvent, group: TestGroup) => void = () => undefined,
): Promise<boolean> {
  const merged = new PassThrough({ objectMode: true });
  const reporter = new spec();
  const printed = new Promise((resolve) => reporter.once('end', resolve));
  merged.pipe(reporter).pipe(output, { end: false });
  const totals = new Map<string, number>();
  for (const group of groups) {
    const { files, concurrency, fileTimeoutMs: timeout = fileTimeoutMs } = group;
    if (files.length === 0) continue;
    for await (const event of run({ files: [...files], concurrency, timeout }) as AsyncIterable<TestEvent>) {
      observe(event, group);
      const [, name, count] = (event.type === 'test:diagnostic' && SUMMARY.exec(event.data.message ?? '')) || [];
      // Inside a test anybody may print such a line; the summary stands outside.
      if (name === undefined || event.data.nesting !== 0 || event.data.file !== undefined) merged.write(event);
      else totals.set(name, (totals.get(name) ?? 0) + Number(count));
    }
  }
  for (const [name, total] of totals) {
    merged.write({ type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${total}`, level: 'info' } });
  }
  merged.end();
  await printed;
  return (totals.get('tests') ?? 0) > 0 && totals.get('fail') === 0 && totals.get('cancelled') === 0;
}
