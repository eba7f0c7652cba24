// Runs one target over inputs that a seed repeats. A target is a parser together with all that must hold of
// it, whatever it reads; its check throws for what does not.
import { mutated, type Material } from './mutation.ts';
import { randomFor, type Random } from './random.ts';

export interface Target {
  readonly name: string;
  /** Which parser, for who reads the list. */
  readonly of: string;
  readonly corpus: readonly (string | Uint8Array)[];
  readonly words?: readonly string[];
  /** See mutation.ts; `no` when absent. */
  readonly json?: 'also' | 'only';
  /** 4 KiB when absent. */
  readonly maxBytes?: number;
  readonly check: (input: Buffer, random: Random) => void | Promise<void>;
}

export interface Failure {
  readonly index: number;
  readonly error: Error;
  readonly input: Buffer;
}

export interface Outcome {
  readonly inputs: number;
  readonly seconds: number;
  /** The slowest input, and its milliseconds: to look at, never a verdict. */
  readonly slowest: { readonly index: number; readonly ms: number };
  readonly failures: readonly Failure[];
}

const DEFAULT_MAX_BYTES = 4096;
/** Who finds more has enough to do. */
const FAILURES_MAX = 5;
const SHORTENING_TRIES = 2000;

/** Input `index` of a seed. */
export function inputOf(target: Target, seed: number, index: number): Buffer {
  return mutated(randomFor(seed, index), materialOf(target));
}

export interface FuzzOptions {
  readonly seed: number;
  readonly from?: number;
  readonly count: number;
  /** Called with the number of the input at hand. */
  readonly onInput?: (index: number) => void;
}

/** Resolves when all inputs were checked, or enough of them failed. */
export async function fuzz(target: Target, { seed, from = 0, count, onInput = () => undefined }: FuzzOptions): Promise<Outcome> {
  const material = materialOf(target);
  const failures: Failure[] = [];
  let slowest = { index: from, ms: 0 };
  const began = performance.now();
  // Most inputs are refused, and where each was takes longer to find out than that it was.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let index = from;
  for (; index < from + count && failures.length < FAILURES_MAX; index += 1) {
    onInput(index);
    const input = mutated(randomFor(seed, index), material);
    const inputBegan = performance.now();
    const error = await faultOf(target, input, seed, index);
    const ms = performance.now() - inputBegan;
    if (ms > slowest.ms) slowest = { index, ms };
    if (error === undefined) continue;
    Error.stackTraceLimit = stackTraceLimit;
    const placed = await faultOf(target, input, seed, index) ?? error;
    Error.stackTraceLimit = 0;
    failures.push({ index, error: placed, input: await shortest(target, input, seed, index) });
  }
  Error.stackTraceLimit = stackTraceLimit;
  return { inputs: index - from, seconds: (performance.now() - began) / 1000, slowest, failures };
}

async function faultOf(target: Target, input: Buffer, seed: number, index: number): Promise<Error | undefined> {
  try {
    // What a check does at random it does again when the input is replayed.
    const checking = target.check(input, randomFor(~seed, index));
    if (checking !== undefined) await checking;
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** The same failure with less around it: parts are left out as long as some failure stays. */
async function shortest(target: Target, input: Buffer, seed: number, index: number): Promise<Buffer> {
  let best = input;
  let tries = 0;
  for (let size = best.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= best.length && tries < SHORTENING_TRIES; tries += 1) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (await faultOf(target, shorter, seed, index) === undefined) at += size;
      else best = shorter;
    }
  }
  return best;
}

const materials = new WeakMap<Target, Material>();

function materialOf(target: Target): Material {
  let material = materials.get(target);
  if (material === undefined) materials.set(target, (material = makeMaterial(target)));
  return material;
}

function makeMaterial({ corpus, words = [], json, maxBytes = DEFAULT_MAX_BYTES }: Target): Material {
  return { corpus: corpus.map((input) => Buffer.from(input as string)), words, json: json ?? 'no', maxBytes };
}
