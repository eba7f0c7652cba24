// One change that must be whole at every moment: what is there before it, how a process makes it, and
// what a later process must find, whenever the first one ended.
import { isDeepStrictEqual } from 'node:util';

export interface Operation {
  /** Puts there what the change begins with; in the test's process. */
  readonly prepare: (directory: string) => Promise<void>;
  /** Whether it is others who change what is there: then no file system refuses Slicer anything. */
  readonly isByHand?: true;
  /** The code of the error, whatever the file system's is; else it is the store's. */
  readonly refusedAs?: string;
  /** What comes before the change, in the process that will be struck; the result makes the change. */
  readonly begin: (directory: string) => Promise<() => Promise<void>>;
  /**
   * Opens what is there as a later process does, and throws unless it is as before the change or as after it, and
   * nothing is left beside. What was acknowledged must be there, and what was refused must not.
   */
  readonly check: (directory: string, outcome: Outcome) => Promise<void>;
}

/** What the process said of the change before it ended: nothing, where it was killed. */
export type Outcome = 'made' | 'refused' | 'unknown';

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** Throws unless `found` is one of the two states that `outcome` leaves open. */
export function assertOneOf(found: unknown, before: unknown, after: unknown, outcome: Outcome): void {
  const expected = outcome === 'made' ? [after] : outcome === 'refused' ? [before] : [before, after];
  if (expected.some((state) => isDeepStrictEqual(found, state))) return;
  throw new Error(`the change is ${outcome}; expected ${expected.map((state) => JSON.stringify(state)).join(' or ')}, found ${JSON.stringify(found)}`);
}
