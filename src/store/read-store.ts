// One look at a store, for what plans without a daemon. Guarantees: it changes nothing, not even what a
// write that is under way has left there, and makes no directory; it serves what a store would.
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors/file-fault.ts';
import { parseSecretName, type SecretName } from '../secret/name.ts';
import { Secret } from '../secret/secret.ts';
import { directoryProblem } from './directory.ts';
import { observe, readUnchanged } from './entry.ts';

export interface StoreReading {
  readonly secrets: ReadonlyMap<SecretName, { readonly value: Secret }>;
  /** Why what is there is not known; undefined when it is. */
  readonly problem: string | undefined;
}

/** A file that somebody writes at this moment is not there. */
export function readStore(directory: string): StoreReading {
  const secrets = new Map<SecretName, { value: Secret }>();
  try {
    const path = realpathSync(directory);
    const { dev, ino, uid } = statSync(path, { bigint: true });
    // Whoever asks may be another than the user that the daemon runs as.
    const problem = directoryProblem({ path, dev, ino, ownerUid: Number(uid) });
    if (problem !== undefined) return { secrets, problem: problem.message };
    for (const file of readdirSync(path)) {
      const name = parseSecretName(file);
      const value = name === undefined ? undefined : read(join(path, file));
      if (name !== undefined && value !== undefined) secrets.set(name, { value });
    }
    return { secrets, problem: undefined };
  } catch (error) {
    const errno = errnoOf(error);
    return { secrets, problem: `the store "${directory}" ${errno === 'ENOENT' ? 'does not exist' : `cannot be read: ${errno}`}` };
  }
}

function read(path: string): Secret | undefined {
  const found = observe(path);
  if (found.kind !== 'regular') return undefined;
  const reading = readUnchanged(path, found.stamp);
  return reading.kind === 'bytes' ? new Secret(reading.bytes) : undefined;
}
