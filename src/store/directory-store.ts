// A store over one directory: its own changes one after the other, what others do there as it happens,
// and a new snapshot for each. All values are held in memory, once: the sum of their sizes.
import { readdirSync } from 'node:fs';
import { errnoOf } from '../errors/file-fault.ts';
import { fail, type Problem } from '../errors/slicer-error.ts';
import type { FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import { createSecret, removeSecret, updateSecret, type ChangeParts } from './changes.ts';
import type { Clock } from './clock.ts';
import { watchDirectory } from './directory-watch.ts';
import { directoryProblem, type StoreDirectory } from './directory.ts';
import type { KnownFiles } from './known-files.ts';
import { Ledger } from './ledger.ts';
import type { NameChange, SecretChange, Snapshot, Store, StoredSecret } from './contract.ts';
import { Tracker } from './tracker.ts';

export interface DirectoryStoreParts {
  readonly directory: StoreDirectory;
  readonly clock: Clock;
  /** Fresh random bytes, `sizeBytes` of them. */
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly knownFiles: KnownFiles | undefined;
}

export class DirectoryStore implements Store {
  readonly #directory: StoreDirectory;
  readonly #ledger: Ledger;
  readonly #tracker: Tracker;
  readonly #changeParts: ChangeParts;
  readonly #stopWatching: () => void;
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  readonly #outsideListeners = new Set<(change: NameChange) => void>();
  /** Settles when the last change asked for is done, well or not. */
  #lastChange: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Something may have happened that was not looked at: before the first look, and during a problem. */
  #behind = true;

  /** Throws the system call's error when the directory cannot be watched. */
  constructor({ directory, clock, random, knownFiles }: DirectoryStoreParts) {
    const unique = (): string => Buffer.from(random(8)).toString('hex');
    const publish = (): void => this.#publish(false);
    const ledger = new Ledger(unique());
    this.#directory = directory;
    this.#ledger = ledger;
    this.#tracker = new Tracker({
      directory: directory.path, ledger, clock, isUsable: () => this.#checkDirectory() === undefined, onSettled: publish,
      onTaken: (name, stamp) => knownFiles?.note(name, stamp),
    });
    this.#changeParts = {
      directory, ledger, tracker: this.#tracker, unique, publish, publishOwn: () => this.#publish(true), checkDirectory: () => this.#checkDirectory(),
    };
    this.#stopWatching = watchDirectory(directory.path, clock, {
      onStir: (files) => this.#look(files),
      onSweep: () => this.#look(undefined),
    });
  }

  snapshot(): Snapshot {
    return this.#ledger.snapshot;
  }

  create(name: SecretName, value: Secret, attributes: FileAttributes): Promise<StoredSecret> {
    return this.#oneByOne(() => createSecret(this.#changeParts, name, value, attributes));
  }

  update(name: SecretName, change: SecretChange): Promise<StoredSecret> {
    return this.#oneByOne(() => updateSecret(this.#changeParts, name, change));
  }

  remove(name: SecretName): Promise<void> {
    return this.#oneByOne(() => removeSecret(this.#changeParts, name));
  }

  async rescan(): Promise<void> {
    if (this.#closed) return;
    this.#look(undefined);
    await this.#tracker.allSettled();
  }

  onChange(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onOutsideChange(listener: (change: NameChange) => void): () => void {
    this.#outsideListeners.add(listener);
    return () => this.#outsideListeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWatching();
    await this.#lastChange;
    this.#tracker.close();
    this.#listeners.clear();
    this.#outsideListeners.clear();
    await this.#directory.handle.close();
  }

  #oneByOne<Result>(change: () => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(fail('shutting_down', `the store "${this.#directory.path}" is closed`));
    const result = this.#lastChange.then(change);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }

  /** Looks at these entries, or at all; at none while something is wrong with the directory. */
  #look(files: ReadonlySet<string> | undefined): void {
    if (this.#checkDirectory() === undefined) {
      if (files === undefined || this.#behind) this.#lookAtAll();
      else for (const file of files) this.#tracker.look(file);
    }
    this.#publish(false);
  }

  #lookAtAll(): void {
    let listing: string[];
    try {
      listing = readdirSync(this.#directory.path);
    } catch (error) {
      this.#ledger.setProblem(`the store "${this.#directory.path}" cannot be listed: ${errnoOf(error)}`);
      return;
    }
    this.#tracker.lookAtAll(listing);
    this.#behind = false;
  }

  #checkDirectory(): Problem | undefined {
    const problem = directoryProblem(this.#directory);
    this.#ledger.setProblem(problem?.message);
    if (problem !== undefined) this.#behind = true;
    return problem;
  }

  /** `isOwn`: what changed is the store's own doing. Whatever is seen in the directory is published at once, so none of it is in here. */
  #publish(isOwn: boolean): void {
    const changes = this.#ledger.takeChanges();
    const snapshot = this.#ledger.commit();
    if (snapshot === undefined) return;
    for (const listener of [...this.#listeners]) listener(snapshot);
    if (isOwn) return;
    for (const listener of [...this.#outsideListeners]) changes.forEach(listener);
  }
}
