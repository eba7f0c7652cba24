// Versions and snapshots: gathers what changed, and turns it into the next immutable snapshot. A
// counter is given out once; a secret that goes and comes back gets higher versions.
import type { FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import type { NameChange, SkippedFile, Snapshot, StoredSecret } from './contract.ts';

export interface Content {
  readonly value: Secret;
  readonly attributes: FileAttributes;
  readonly modifiedAtMs: number;
}

export class Ledger {
  #snapshot: Snapshot;
  #counter = 0;
  #secrets: Map<SecretName, StoredSecret> | undefined;
  #removed: Map<SecretName, number> | undefined;
  #skipped = new Map<string, string>();
  #skippedChanged = false;
  #problem: string | undefined;
  #changes: NameChange[] = [];

  constructor(epoch: string) {
    this.#snapshot = {
      epoch, counter: 0, secrets: new Map(), removed: new Map(), skipped: [], problem: undefined,
    };
  }

  /** The last committed snapshot. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** The secret as it will be in the next snapshot. */
  get(name: SecretName): StoredSecret | undefined {
    return (this.#secrets ?? this.#snapshot.secrets).get(name);
  }

  /** A new version, even when nothing differs. */
  put(name: SecretName, content: Content): StoredSecret {
    this.#counter += 1;
    const secret = { name, ...content, version: this.#counter };
    this.#changes.push({ name, kind: this.get(name) === undefined ? 'create' : 'update' });
    this.#draftSecrets().set(name, secret);
    if ((this.#removed ?? this.#snapshot.removed).has(name)) this.#draftRemoved().delete(name);
    this.skip(name, undefined);
    return secret;
  }

  /** The same version with another mtime. */
  touch(name: SecretName, modifiedAtMs: number): void {
    const secret = this.get(name);
    if (secret === undefined || secret.modifiedAtMs === modifiedAtMs) return;
    this.#draftSecrets().set(name, { ...secret, modifiedAtMs });
  }

  remove(name: SecretName): void {
    if (this.get(name) === undefined) return;
    this.#counter += 1;
    this.#changes.push({ name, kind: 'remove' });
    this.#draftSecrets().delete(name);
    this.#draftRemoved().set(name, this.#counter);
  }

  /** Lists a file as not served; undefined takes it off the list. */
  skip(file: string, reason: string | undefined): void {
    if (this.#skipped.get(file) === reason) return;
    if (reason === undefined) this.#skipped.delete(file);
    else this.#skipped.set(file, reason);
    this.#skippedChanged = true;
  }

  /** The names, as the directory has them, of all files listed as not served. */
  skippedFiles(): string[] {
    return [...this.#skipped.keys()];
  }

  reasonSkipped(file: string): string | undefined {
    return this.#skipped.get(file);
  }

  setProblem(problem: string | undefined): void {
    this.#problem = problem;
  }

  /** What was put and removed since the last call. */
  takeChanges(): readonly NameChange[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  /** Makes the next snapshot; undefined when nothing changed since the last one. */
  commit(): Snapshot | undefined {
    const last = this.#snapshot;
    if (this.#secrets === undefined && !this.#skippedChanged && this.#problem === last.problem) return undefined;
    this.#snapshot = {
      epoch: last.epoch,
      counter: this.#counter,
      secrets: this.#secrets ?? last.secrets,
      removed: this.#removed ?? last.removed,
      skipped: this.#skippedChanged ? this.#skippedList() : last.skipped,
      problem: this.#problem,
    };
    this.#secrets = undefined;
    this.#removed = undefined;
    this.#skippedChanged = false;
    return this.#snapshot;
  }

  #draftSecrets(): Map<SecretName, StoredSecret> {
    this.#secrets ??= new Map(this.#snapshot.secrets);
    return this.#secrets;
  }

  #draftRemoved(): Map<SecretName, number> {
    this.#removed ??= new Map(this.#snapshot.removed);
    return this.#removed;
  }

  #skippedList(): SkippedFile[] {
    return [...this.#skipped]
      .map(([file, reason]) => ({ file: printable(file), reason }))
      .sort((a, b) => (a.file < b.file ? -1 : 1));
  }
}

// A file's name may hold terminal escapes or line breaks; lists are printed.
function printable(file: string): string {
  return file.replace(/[^\x20-\x7e\p{L}\p{N}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
  });
}
