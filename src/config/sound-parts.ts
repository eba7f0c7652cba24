// What of a run file with faults is right by itself, so that what it names on this machine can be looked at
// all the same, and one attempt shows the problems of both. Pure.
import { entriesOf, type Issue } from './document.ts';
import type { RunFile } from './run-file.ts';
import { runFileSchema, type RawRunFile } from './run-file-schema.ts';

export type SoundParts = Pick<RunFile, 'secrets' | 'interfaces' | 'shares' | 'volumes'>;

const PARTS = ['runtimeSecrets', 'interfaces', 'shares', 'volumes'] as const;

/** `data` has `issues`. Undefined where nothing is right. */
export function soundParts(data: unknown, issues: readonly Issue[]): RawRunFile | undefined {
  const parts = PARTS.map((key) => [key, withoutFaulty(entriesOf(data)[key], key, issues)] as const);
  // The rest is not looked at; there has to be some.
  return runFileSchema.safeParse({ ...Object.fromEntries(parts), name: 'vm', image: 'tiny' }).data;
}

function withoutFaulty(part: unknown, key: string, issues: readonly Issue[]): unknown {
  const faulty = new Set(issues.filter(({ path }) => path[0] === key).map(({ path }) => (path[1] === undefined ? undefined : String(path[1]))));
  if (faulty.has(undefined)) return undefined;
  if (Array.isArray(part)) return part.filter((_, index) => !faulty.has(String(index)));
  return part === undefined || part === null ? undefined : Object.fromEntries(Object.entries(part).filter(([name]) => !faulty.has(name)));
}
