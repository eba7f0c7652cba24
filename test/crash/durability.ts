// What a machine that loses power could take back, after a record of system calls: a model of what POSIX promises
// and no more. A file's bytes, mode and owner are on the disk after fsync of the file, its name after fsync of
// the directory that it is in.
import { basename, dirname, join } from 'node:path';
import type { Call } from './strace.ts';

/** Names that nobody looks for: what is on its way in or out. */
const PASSING = /^(\.slicer-.*\.tmp|\.coming-.*|\.going-.*|vm\.json\.new)$/;

/**
 * What is wrong with the order of these calls: a name given to what was not on the disk yet, and what was
 * not on the disk when `isAcknowledgement` told of it. Empty when the order holds.
 */
export function faultsOf(calls: readonly Call[], isAcknowledgement: (call: Call) => boolean): string[] {
  /** By path: where in the record it last changed. */
  const contents = new Map<string, number>();
  const names = new Map<string, number>();
  const faults: string[] = [];
  const acknowledgement = calls.find(isAcknowledgement);
  if (acknowledgement === undefined) return ['nothing was acknowledged'];
  const steps = calls.filter(({ text }) => !/= -1 E/.test(text)).flatMap((call) => effectsOf(call).map((effect) => ({ effect, call })))
    .filter(({ call }) => call.beganAt < acknowledgement.beganAt)
    .sort((a, b) => a.effect.at - b.effect.at);
  for (const { effect, call: { beganAt, endedAt } } of steps) {
    if (effect.kind === 'content') contents.set(effect.path, beganAt);
    if (effect.kind === 'name') names.set(effect.path, beganAt);
    if (effect.kind === 'sync' && endedAt < acknowledgement.beganAt) {
      for (const dirty of [contents, names]) if ((dirty.get(effect.path) ?? beganAt) < beganAt) dirty.delete(effect.path);
    }
    if (effect.kind === 'move') {
      const unsynced = [...contents.keys(), ...names.keys()].filter((path) => path === effect.path || path.startsWith(`${effect.path}/`));
      faults.push(...unsynced.map((path) => `${path} was not on the disk when it got its name`));
    }
  }
  for (const path of names.keys()) if (!isPassing(path)) faults.push(`${path} was not on the disk when the change was acknowledged`);
  for (const path of contents.keys()) if (!isPassing(path)) faults.push(`the content of ${path} was not on the disk when the change was acknowledged`);
  return faults;
}

type Effect =
  /** Bytes, mode or owner of a file. */
  | { readonly kind: 'content'; readonly path: string; readonly at: number }
  /** An entry in a directory that somebody may look for. */
  | { readonly kind: 'name'; readonly path: string; readonly at: number }
  /** A file or directory gets the name that it is looked for by. */
  | { readonly kind: 'move'; readonly path: string; readonly at: number }
  | { readonly kind: 'sync'; readonly path: string; readonly at: number };

function effectsOf({ name, text, beganAt: at, endedAt }: Call): Effect[] {
  const [first = '', second = ''] = [...text.matchAll(/"([^"]*)"/g)].map(([, path]) => path as string);
  const descriptor = /^[a-z0-9_]+\([0-9]+<([^>]*)>/.exec(text)?.[1] ?? '';
  const entry = (path: string): Effect[] => (isPassing(path) ? [] : [{ kind: 'name', path: dirname(path), at }]);
  switch (name) {
    case 'openat': return /O_CREAT/.test(text) ? [{ kind: 'content', path: first, at }, { kind: 'name', path: dirname(first), at }] : [];
    case 'write': case 'pwrite64': case 'fchmod': case 'fchown': case 'ftruncate': return [{ kind: 'content', path: descriptor, at }];
    case 'chmod': return [{ kind: 'content', path: first, at }];
    case 'fsync': case 'fdatasync': return [{ kind: 'sync', path: descriptor, at: endedAt }];
    case 'mkdir': case 'unlink': case 'rmdir': return entry(first);
    case 'unlinkat': return entry(join(descriptor, first));
    case 'link': case 'rename': return isPassing(second) ? entry(first) : [{ kind: 'move', path: first, at }, ...entry(second)];
    default: return [];
  }
}

const isPassing = (path: string): boolean => path.split('/').some((part) => PASSING.test(part)) || PASSING.test(basename(path));
