// The store's changes, struck at any moment: values, modes and owners are whole old or whole new, and the
// directory holds nothing but secrets.
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, linkSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { openStore, type Snapshot, type Store } from '../../src/store/store.ts';
import { assertOneOf, type Operation } from './operation.ts';

const [UID, GID] = [process.geteuid?.() as number, process.getegid?.() as number];
/** Owners of files are given where that needs no right that one lacks. */
export const OWNED = { mode: 0o640, uid: UID === 0 ? 4_000_000_000 : UID, gid: UID === 0 ? 12 : GID };
const OWN = { mode: 0o600, uid: UID, gid: GID };
/** Longer than a page, so that a short write would show. */
const OLD = 'old '.repeat(2500);
export const NEW = 'new '.repeat(3000);
/** Beside the one that changes, and never touched. */
const OTHER = 'other';
export const NAME = 'changed';

type Content = Readonly<Record<string, readonly [value: string, mode: number, uid: number, gid: number]>>;

const content = (value: string, { mode, uid, gid } = OWN): Content[string] => [digest(value), mode, uid, gid];
const UNTOUCHED: Content = { [OTHER]: content(OLD) };
const before: Content = { [NAME]: content(OLD), ...UNTOUCHED };

interface StoreChange {
  readonly before: Content;
  readonly after: Content;
  readonly prepare?: (directory: string) => void;
  /** Whether opening the store is part of it. */
  readonly opens?: true;
  readonly isByHand?: true;
  readonly change: (store: Store, directory: string) => Promise<unknown>;
}

const CHANGES: Readonly<Record<string, StoreChange>> = {
  'create a secret': {
    before: UNTOUCHED,
    after: { [NAME]: content(NEW, OWNED), ...UNTOUCHED },
    change: (store) => store.create(name(NAME), secret(NEW), OWNED),
  },
  'replace a value': {
    before,
    after: { ...before, [NAME]: content(NEW) },
    change: (store) => store.update(name(NAME), { value: secret(NEW) }),
  },
  'change mode and owner alone': {
    before,
    after: { ...before, [NAME]: content(OLD, OWNED) },
    change: (store) => store.update(name(NAME), OWNED),
  },
  'remove a secret': { before, after: UNTOUCHED, change: (store) => store.remove(name(NAME)) },
  'open a store with leftovers and create': {
    before: UNTOUCHED,
    after: { [NAME]: content(NEW, OWNED), ...UNTOUCHED },
    prepare: leaveBehind,
    opens: true,
    change: (store) => store.create(name(NAME), secret(NEW), OWNED),
  },
  'take a file that was replaced by hand': {
    isByHand: true,
    before,
    after: { ...before, [NAME]: content(NEW) },
    change: async (store, directory) => {
      const taken = new Promise<void>((resolve) => {
        store.onChange((snapshot) => {
          if (contentOf(snapshot)[NAME]?.[0] === digest(NEW)) resolve();
        });
      });
      writeFileSync(join(directory, '..', 'by-hand'), NEW);
      chmodSync(join(directory, '..', 'by-hand'), 0o600);
      renameSync(join(directory, '..', 'by-hand'), join(directory, NAME));
      await taken;
    },
  },
};

export const STORE_OPERATIONS: Readonly<Record<string, Operation>> = Object.fromEntries(
  Object.entries(CHANGES).map(([title, change]) => [title, operationOf(change)]));

function operationOf({ before: old, after, prepare, opens, isByHand, change }: StoreChange): Operation {
  return {
    ...(isByHand === undefined ? {} : { isByHand }),
    prepare: async (directory) => {
      const store = await openStore(directory);
      await store.create(name(OTHER), secret(OLD), OWN);
      if (NAME in old) await store.create(name(NAME), secret(OLD), OWN);
      await store.close();
      prepare?.(directory);
    },
    begin: async (directory) => {
      if (opens) return async () => void await change(await openStore(directory), directory);
      const store = await openStore(directory);
      return async () => void await change(store, directory);
    },
    check: async (directory, outcome) => {
      const store = await openStore(directory);
      try {
        assertOneOf(contentOf(store.snapshot()), sorted(old), sorted(after), outcome);
        const left = readdirSync(directory).filter((file) => !store.snapshot().secrets.has(name(file)));
        if (left.length > 0) throw new Error(`left in the store: ${left.join(', ')}`);
        if (store.snapshot().skipped.length > 0) throw new Error(`not served: ${JSON.stringify(store.snapshot().skipped)}`);
        // A store that opens but takes no change any more would be no store.
        if (store.snapshot().secrets.has(name(NAME))) await store.update(name(NAME), { value: secret('next') });
        else await store.create(name(NAME), secret('next'), OWN);
      } finally {
        await store.close();
      }
    },
  };
}

/** What two processes that were killed have left: a half value, and the second name of a whole one. */
function leaveBehind(directory: string): void {
  const leftover = (): string => join(directory, `.slicer-${deadPid()}-${randomBytes(8).toString('hex')}.tmp`);
  writeFileSync(leftover(), NEW.slice(0, 5000), { mode: 0o600 });
  linkSync(join(directory, OTHER), leftover());
}

/** The id of no process. */
function deadPid(): number {
  let pid = 4_000_000;
  while (existsSync(`/proc/${pid}`)) pid += 1;
  return pid;
}

export function contentOf({ secrets }: Snapshot): Content {
  return sorted(Object.fromEntries([...secrets.values()].map(({ name: each, value, attributes }) =>
    [each, content(Buffer.from(value.reveal()).toString(), attributes)])));
}

const sorted = (unsorted: Content): Content => Object.fromEntries(Object.entries(unsorted).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Which value it is, short enough for a message. */
function digest(value: string): string {
  return `${value.length} bytes of ${new Set(value.split(' ').filter((word) => word !== '')).size === 1 ? value.slice(0, 3) : 'a mix'}`;
}

const name = (text: string): SecretName => parseSecretName(text) as SecretName;
const secret = (text: string): Secret => new Secret(Buffer.from(text));

