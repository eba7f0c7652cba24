// One target in a thread: where it is stands in shared memory, what came of it is its message.
import { parentPort, workerData } from 'node:worker_threads';
import { fuzz, type Target } from './engine.ts';
import { TARGETS } from './targets.ts';

export interface Work {
  readonly name: string;
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  /** A 32-bit number: the input at hand. */
  readonly progress: SharedArrayBuffer;
}

const { name, seed, from, count, progress } = workerData as Work;
const at = new Int32Array(progress);
const target = TARGETS.find((known) => known.name === name) as Target;
const outcome = await fuzz(target, { seed, from, count, onInput: (index) => void Atomics.store(at, 0, index) });
parentPort?.postMessage({
  ...outcome,
  // Errors of Node's lose their text on the way.
  failures: outcome.failures.map(({ index, error, input }) => ({ index, input, error: { message: error.message, stack: error.stack } })),
});
