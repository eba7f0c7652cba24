// What targets expect of parsers, again and again.
import assert from 'node:assert/strict';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import type { ErrorCode } from '../../src/errors/catalogue.ts';
import type { Random } from './random.ts';

/** Stands where a value would. Nothing that a parser says may have a part of it. */
export const CANARY = 'xq7zCANARYxq7z';

export function assertNoCanary(text: string): void {
  assert.ok(!/xq7z|CANARY/.test(text), `a value is in what is said: ${JSON.stringify(text.slice(0, 500))}`);
}

/** The result, or undefined where it threw an error that may be: any other goes on. */
export function unless<T>(isExpected: (error: unknown) => boolean, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw error;
  }
}

/** Whether it is one of Slicer's own errors with one of these codes. */
export function isRefusal(...codes: readonly ErrorCode[]): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof SlicerError)) return false;
    for (const { code, message } of error.problems) {
      assert.ok(codes.includes(code), `unexpected code ${code}: ${message}`);
      assert.ok(message.length < 20_000, `a message of ${message.length} characters`);
    }
    return true;
  };
}

/** The same, for inputs that hold the canary where values stand. */
export function isSilentRefusal(...codes: readonly ErrorCode[]): (error: unknown) => boolean {
  const isOne = isRefusal(...codes);
  return (error) => {
    if (!isOne(error)) return false;
    for (const { message, hint = '' } of (error as SlicerError).problems) assertNoCanary(message + hint);
    return true;
  };
}

/** One line that steers no terminal, tabs aside. */
export function assertNoControls(text: string): void {
  assert.doesNotMatch(text, /[\0-\x08\n-\x1f\x7f-\x9f]/, 'control characters are in what is said');
}

/** The input in pieces, some of a byte, some of none. */
export function pieces(random: Random, input: Buffer): Buffer[] {
  const found: Buffer[] = [];
  // A long one byte by byte would say nothing new, and take long.
  const longest = random.pick(input.length > 1024 ? [64, 512, 8192] : [1, 7, 64, 512]);
  for (let at = 0; at < input.length;) {
    const length = random.below(longest + 1);
    found.push(input.subarray(at, at + length));
    at += length;
  }
  return found;
}
