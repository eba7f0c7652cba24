// Shows what a script does, step by step, each with the time it took. The first thing that a step says stays:
// why it takes a while. What it says after that is progress, which a terminal replaces and a log gets a little of.
import { errorLines, fail, SlicerError, throwIfAny } from '../src/errors/slicer-error.ts';

export interface StageOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface StagesOptions {
  readonly output?: StageOutput;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** Steps that took less, and said nothing, are not shown: they found their work done before. */
  readonly shownFromMs?: number;
}

/** What a step may say while it runs. */
export type Say = (line: string) => void;

export interface Stages {
  /** Runs a step. What it throws is thrown on, with the step's name in it. Steps may run side by side. */
  run<Result>(name: string, work: (say: Say) => Promise<Result>): Promise<Result>;
  /** Milliseconds since these stages began. */
  elapsedMs(): number;
}

const NAME_WIDTH = 44;
const ERASE_LINE = '\r\x1b[K';
const PROGRESS_EVERY_MS = 5000;

export function beginStages(options: StagesOptions = {}): Stages {
  const { output = process.stdout, now = () => performance.now(), shownFromMs = 0 } = options;
  const begun = now();
  const print = (line: string) => output.write(`${output.isTTY ? ERASE_LINE : ''}${line}\n`);
  return {
    elapsedMs: () => now() - begun,
    run: async (name, work) => {
      const start = now();
      let printed: number | undefined;
      const say: Say = (progress) => {
        const line = `  ${name}: ${progress}`;
        if (printed !== undefined && output.isTTY) output.write(ERASE_LINE + line.slice(0, (output.columns ?? 80) - 1));
        else if (printed === undefined || now() - printed >= PROGRESS_EVERY_MS) {
          print(line);
          printed = now();
        }
      };
      try {
        const result = await work(say);
        const took = now() - start;
        if (printed !== undefined || took >= shownFromMs) print(`  ${name.padEnd(NAME_WIDTH)} ${seconds(took)}`);
        return result;
      } catch (error) {
        print(`  ${name.padEnd(NAME_WIDTH)} failed after ${seconds(now() - start)}`);
        throw inStep(name, error);
      }
    },
  };
}

/** Waits for steps that run side by side; throws the problems of all that failed. */
export async function allSteps(steps: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(steps);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  const unexpected = errors.find((error) => !(error instanceof SlicerError));
  if (unexpected !== undefined) throw unexpected;
  throwIfAny(errors.flatMap((error) => (error as SlicerError).problems));
}

/** Runs a script's main function; what it throws becomes lines on stderr and exit code 1. */
export function runScript(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    // What no part expected shows where it comes from.
    const unexpected = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const known = error instanceof SlicerError ? error : fail('internal', unexpected);
    process.stderr.write(`${errorLines(known).join('\n')}\n`);
    process.exitCode = 1;
  });
}

function inStep(name: string, error: unknown): Error {
  if (!(error instanceof SlicerError)) return new Error(`step "${name}" failed: ${String(error)}`, { cause: error });
  const [first, ...rest] = error.problems;
  return new SlicerError([{ ...first, message: `step "${name}" failed: ${first.message}` }, ...rest]);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
