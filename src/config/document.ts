// What the readers of configuration have in common: plain data, and places in the text that it came from.

/** Keys and indexes from the top. */
export type Path = readonly (string | number)[];

export interface Position {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

/** A fact about the place that `path` leads to, or its nearest part that is there. */
export interface Issue {
  readonly path: Path;
  /** `key`: the place is the key itself rather than its value. */
  readonly at: 'key' | 'value';
  readonly message: string;
}

export interface ConfigDocument {
  /** Undefined when `syntaxProblems` has any. */
  readonly data: unknown;
  readonly syntaxProblems: readonly (Position & { readonly message: string })[];
  positionOf(path: Path, at: Issue['at']): Position;
}

/** It names every object's prototype in JavaScript: libraries leave it out in silence. No file needs it. */
export const FORBIDDEN_KEY = '__proto__';
export const FORBIDDEN_KEY_RULE = `expected another key than ${FORBIDDEN_KEY}`;

export type Entries = Readonly<Record<string, unknown>>;

/** The entries of a map; none of anything else. */
export function entriesOf(value: unknown): Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entries) : {};
}
