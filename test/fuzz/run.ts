// `npm run fuzz [TARGET...] [-- --seed N] [--from N] [--count N] [--only N]`: each target over a million inputs unless
// told otherwise, one after the other, each in a thread of its own, so that one that never ends is seen and named.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { fail } from '../../src/errors/slicer-error.ts';
import { runScript } from '../../scripts/stage.ts';
import { fuzz, inputOf, type Outcome, type Target } from './engine.ts';
import { TARGETS } from './targets.ts';
import type { Work } from './worker.ts';

const DEFAULT_COUNT = 1_000_000;
/** No input takes a thousandth of this: one that does is looked at by hand. */
const STUCK_MS = 60_000;
const LOOK_MS = 5_000;
const SHOWN_MAX_LENGTH = 2_000;

runScript(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string' }, from: { type: 'string' }, count: { type: 'string' }, only: { type: 'string' }, list: { type: 'boolean' } },
  });
  if (values.list === true) return TARGETS.forEach(({ name, of }) => console.log(`${name.padEnd(18)} ${of}`));
  const seed = wholeNumber('--seed', values.seed) ?? Date.now() % 2 ** 31;
  const targets = positionals.length === 0 ? TARGETS : positionals.map(targetNamed);
  const only = wholeNumber('--only', values.only);
  if (only !== undefined) return replay(targets, seed, only);
  let failures = 0;
  const [from, count] = [wholeNumber('--from', values.from) ?? 0, wholeNumber('--count', values.count) ?? DEFAULT_COUNT];
  for (const target of targets) failures += await run(target, { seed, from, count });
  if (failures > 0) process.exitCode = 1;
  process.exit();
});

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw fail('usage', `${flag} must be a whole number`);
  return Number(text);
}

function targetNamed(name: string): Target {
  const target = TARGETS.find((known) => known.name === name);
  if (target === undefined) throw fail('usage', `there is no target "${name}"`, 'npm run fuzz -- --list');
  return target;
}

/** Prints what there is to say of a target; how much failed. */
async function run(target: Target, work: Pick<Work, 'seed' | 'from' | 'count'>): Promise<number> {
  const { seed, from } = work;
  const outcome = await inThread({ name: target.name, ...work, progress: new SharedArrayBuffer(4) });
  if (typeof outcome === 'number') {
    console.log(`${target.name}: input ${outcome} takes more than ${STUCK_MS / 1000} s: ${replayCommand(target, seed, outcome)}`);
    return 1;
  }
  const { inputs, seconds, slowest, failures } = outcome;
  console.log(`${target.name}: seed ${seed}, ${inputs} inputs${from === 0 ? '' : ` from ${from}`}, ${seconds.toFixed(1)} s, slowest ${slowest.ms.toFixed(0)} ms (${slowest.index}), ${failures.length} failures`);
  for (const { index, error, input } of failures) {
    console.log(`  ${replayCommand(target, seed, index)}\n  shortest: ${shown(input)}\n  ${String(error.stack ?? error).split('\n').slice(0, 8).join('\n  ')}`);
  }
  return failures.length;
}

function replayCommand({ name }: Target, seed: number, index: number): string {
  return `npm run fuzz ${name} -- --seed ${seed} --only ${index}`;
}

function shown(input: Uint8Array): string {
  return JSON.stringify(Buffer.from(input).toString('latin1')).slice(0, SHOWN_MAX_LENGTH);
}

/** What came of it, or the number of the input that never ends. */
function inThread(work: Work): Promise<Outcome | number> {
  const at = new Int32Array(work.progress);
  // Its own, since a thread that is ended clears nothing away. Programs without rights pass through it.
  const scratch = mkdtempSync(join(tmpdir(), 'slicer-fuzzing-'));
  chmodSync(scratch, 0o711);
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: work, env: { ...process.env, TMPDIR: scratch } });
  return new Promise((resolve, reject) => {
    let last = -1;
    let movedMs = performance.now();
    const timer = setInterval(() => {
      const now = Atomics.load(at, 0);
      if (now !== last) [last, movedMs] = [now, performance.now()];
      else if (performance.now() - movedMs > STUCK_MS) settle(() => resolve(last));
    }, LOOK_MS);
    const settle = (end: () => void): void => {
      clearInterval(timer);
      worker.removeAllListeners();
      void worker.terminate().then(() => {
        rmSync(scratch, { recursive: true, force: true });
        end();
      });
    };
    worker.once('message', (outcome: Outcome) => settle(() => resolve(outcome)));
    worker.once('error', (error) => settle(() => reject(error)));
    worker.once('exit', () => settle(() => resolve(Atomics.load(at, 0))));
  });
}

/** One input in this process, with its error as it is. */
async function replay(targets: readonly Target[], seed: number, index: number): Promise<void> {
  for (const target of targets) {
    console.log(`${target.name} ${index}: ${shown(inputOf(target, seed, index))}`);
    const { failures } = await fuzz(target, { seed, from: index, count: 1 });
    for (const { error, input } of failures) {
      console.log(`  shortest: ${shown(input)}\n${error.stack}`);
      process.exitCode = 1;
    }
  }
  process.exit();
}
