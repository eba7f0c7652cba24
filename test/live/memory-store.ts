// A store without a directory, for tests of what comes behind the store: the same ledger, no files.
import { Ledger } from '../../src/store/ledger.ts';
import type { Snapshot } from '../../src/store/contract.ts';
import type { Store } from '../../src/store/store.ts';
import { DEFAULT_ATTRIBUTES, type FileAttributes } from '../../src/secret/file-attributes.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';

export class MemoryStore implements Store {
  readonly #ledger: Ledger;
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();

  constructor(epoch = '0123456789abcdef') {
    this.#ledger = new Ledger(epoch);
  }

  /** Puts a secret, or with `undefined` removes it; returns the store's counter. */
  set(name: string, value: string | Uint8Array | undefined, attributes: FileAttributes = DEFAULT_ATTRIBUTES): number {
    if (value === undefined) this.#ledger.remove(secretName(name));
    else {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      this.#ledger.put(secretName(name), { value: new Secret(bytes), attributes, modifiedAtMs: 1_700_000_000_000 });
    }
    const snapshot = this.#ledger.commit();
    if (snapshot !== undefined) for (const listener of [...this.#listeners]) listener(snapshot);
    return this.#ledger.snapshot.counter;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  snapshot(): Snapshot {
    return this.#ledger.snapshot;
  }

  onChange(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onOutsideChange = (): (() => void) => () => undefined;
  create = unsupported;
  update = unsupported;
  remove = unsupported;
  rescan = async (): Promise<void> => {};
  close = async (): Promise<void> => {};
}

const unsupported = (): never => {
  throw new Error('use set');
};

export function secretName(text: string): SecretName {
  const name = parseSecretName(text);
  if (name === undefined) throw new Error(`${text} is no name of a secret`);
  return name;
}
