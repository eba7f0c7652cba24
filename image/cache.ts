// What was built or fetched once, kept outside the checkout so that a second clone is quick.
// An entry is a directory named by the digest of everything it was made from. It is made under a
// temporary name beside its own, flushed to disk and renamed into place: whoever finds an entry finds a
// whole one, however the build that made it ended, and two builds at once leave one entry.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, utimesSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isInstalledForAll } from './installation.ts';

/** What an entry is made from: its digest names the entry. Order matters. */
export type Inputs = readonly (string | Uint8Array)[];

/** Entries of the same kind that nobody used for so long are removed when a new one is made. */
const UNUSED_MS = 30 * 24 * 3600 * 1000;

/** A temporary directory that has not changed for so long belonged to a build that was killed. */
const ABANDONED_MS = 6 * 3600 * 1000;

/** Where the service of a package keeps it, which has no home of its own. */
const OF_SERVICE = '/var/cache/slicer';

/** `$SLICER_CACHE`, else for root with a package `/var/cache/slicer`, else `$XDG_CACHE_HOME/slicer`, else `~/.cache/slicer`. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env, program = process.argv[1]): string {
  if (environment['SLICER_CACHE']) return environment['SLICER_CACHE'];
  if (process.geteuid?.() === 0 && isInstalledForAll(program)) return OF_SERVICE;
  const base = environment['XDG_CACHE_HOME'] || join(environment['HOME'] || homedir(), '.cache');
  return join(base, 'slicer');
}

/** Path of the entry of this kind and these inputs, whether or not it exists. */
export function entryPath(kind: string, inputs: Inputs, directory = cacheDirectory()): string {
  const digest = createHash('sha256');
  for (const input of inputs) {
    // A length before each input, or ['ab', 'c'] and ['a', 'bc'] would be the same entry.
    digest.update(`${Buffer.byteLength(input)}:`);
    digest.update(input);
  }
  return join(directory, `${kind}-${digest.digest('hex').slice(0, 32)}`);
}

/** Path of the entry if it was made before. */
export function findEntry(kind: string, inputs: Inputs, directory = cacheDirectory()): string | undefined {
  const path = entryPath(kind, inputs, directory);
  if (!existsSync(path)) return undefined;
  try {
    const now = new Date();
    // The mark of use that removal goes by.
    utimesSync(path, now, now);
  } catch {
    // A cache that is not ours to write works without.
  }
  return path;
}

/**
 * Makes a directory beside the entries for work in progress. Whoever asks for it removes it; of one who was
 * killed it is removed after some hours.
 */
export async function temporaryDirectory(kind: string, directory = cacheDirectory()): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, `.${kind}-${randomBytes(8).toString('hex')}`);
  await mkdir(path, { mode: 0o755 });
  return path;
}

const underway = new Map<string, Promise<string>>();

/**
 * Path of the entry, which `make` fills if it does not exist yet. What `make` writes into the directory
 * that it is given is the entry; when it rejects, nothing is left. Within one process an entry is made once
 * however many callers ask.
 */
export function ensureEntry(
  kind: string,
  inputs: Inputs,
  make: (directory: string) => Promise<void>,
  directory = cacheDirectory(),
): Promise<string> {
  const path = entryPath(kind, inputs, directory);
  const there = underway.get(path) ?? findEntry(kind, inputs, directory);
  if (there !== undefined) return Promise.resolve(there);
  const made = makeEntry(kind, path, directory, make).finally(() => underway.delete(path));
  underway.set(path, made);
  return made;
}

async function makeEntry(
  kind: string,
  path: string,
  directory: string,
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const temporary = await temporaryDirectory(kind, directory);
  try {
    await make(temporary);
    await flush(temporary);
    await rename(temporary, path).catch((error: NodeJS.ErrnoException) => {
      // Somebody else was first: the content is the same, as it has the same inputs.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  await removeUnused(kind, path, directory);
  return path;
}

/** A rename may reach the disk before the content does; after a power cut the entry would be hollow. */
async function flush(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name), 'r');
    await file.sync().finally(() => file.close());
  }
}

async function removeUnused(kind: string, keep: string, directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const abandoned = name.startsWith('.');
    const sameKind = name === `${kind}${name.slice(name.lastIndexOf('-'))}`;
    if (path === keep || !(abandoned || sameKind)) continue;
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
    if (Date.now() - mtimeMs > (abandoned ? ABANDONED_MS : UNUSED_MS)) await rm(path, { recursive: true, force: true });
  }
}
