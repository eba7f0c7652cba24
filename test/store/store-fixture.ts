// A store on a real directory of its own, removed after the test.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { openStore, type Clock, type Snapshot, type Store, type StoreOptions } from '../../src/store/store.ts';

/** Tests that hand files to other owners skip themselves without root. */
export const NEEDS_ROOT = process.geteuid?.() === 0 ? false : 'needs root to give files to other owners';

/** Attributes that need no right to give. */
export const PRIVATE = { mode: 0o600, uid: process.geteuid?.() as number, gid: process.getegid?.() as number };

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-store-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface TestStore {
  readonly store: Store;
  /** The path of an entry in the store's directory; of the directory itself without a name. */
  readonly path: (entry?: string) => string;
}

export async function openTestStore(t: TestContext, options: StoreOptions = {}): Promise<TestStore> {
  const directory = join(temporaryDirectory(t), '.secrets');
  const store = await openStore(directory, options);
  t.after(() => store.close());
  return { store, path: (entry = '') => join(directory, entry) };
}

/** Resolves with the first snapshot, the present one included, for which `holds` is true. */
export function until(store: Store, holds: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
  return new Promise((resolve) => {
    if (holds(store.snapshot())) {
      resolve(store.snapshot());
      return;
    }
    const stop = store.onChange((snapshot) => {
      if (!holds(snapshot)) return;
      stop();
      resolve(snapshot);
    });
  });
}

export function name(text: string): SecretName {
  const parsed = parseSecretName(text);
  if (parsed === undefined) throw new Error(`"${text}" is no name of a secret`);
  return parsed;
}

export const secret = (text: string): Secret => new Secret(Buffer.from(text));

/** The value of a secret as text; undefined when the snapshot has no such secret. */
export function valueOf(snapshot: Snapshot, text: string): string | undefined {
  const held = snapshot.secrets.get(name(text));
  return held === undefined ? undefined : Buffer.from(held.value.reveal()).toString();
}

export const namesIn = (snapshot: Snapshot): string[] => [...snapshot.secrets.keys()].sort();

/** Writes a file with mode 0600 whatever the umask. */
export function put(path: string, content: string | Uint8Array): void {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
}

/** A clock that stands until it is told to go on. Its wall time is long before every real mtime. */
export class HeldClock implements Clock {
  #nowMs = 0;
  #timers: { readonly dueMs: number; readonly run: () => void }[] = [];

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (;;) {
      const due = this.#timers.find((timer) => timer.dueMs <= this.#nowMs);
      if (due === undefined) return;
      this.#timers = this.#timers.filter((other) => other !== due);
      due.run();
    }
  }
}
