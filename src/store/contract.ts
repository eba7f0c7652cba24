// The store as the rest of Slicer sees it. A snapshot is what it holds at one moment, a value that never
// changes; each change makes a new one.
import type { FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';

export interface StoredSecret {
  readonly name: SecretName;
  readonly value: Secret;
  readonly attributes: FileAttributes;
  /** The file's mtime, in whole milliseconds since 1970. */
  readonly modifiedAtMs: number;
  /** The counter at which this secret last changed. */
  readonly version: number;
}

/** A directory entry that is not served. */
export interface SkippedFile {
  readonly file: string;
  /** Why, and what mends it; for a human, never a byte of the content. */
  readonly reason: string;
}

export interface Snapshot {
  /** 16 lower-case hexadecimal digits, fresh at each open. */
  readonly epoch: string;
  /** Grows with every change of a secret; a number is never used twice within an epoch. */
  readonly counter: number;
  readonly secrets: ReadonlyMap<SecretName, StoredSecret>;
  /** Removed since the store was opened and not back: name to the counter at which it went. */
  readonly removed: ReadonlyMap<SecretName, number>;
  /** Sorted by file name. Alone it does not move the counter. */
  readonly skipped: readonly SkippedFile[];
  /**
   * Why the directory cannot be trusted or read at the moment (removed, replaced, opened to others);
   * the secrets are then the last good ones, and changes are refused. Undefined when all is well.
   */
  readonly problem: string | undefined;
}

/** What became of one name in the directory. */
export interface NameChange {
  readonly name: SecretName;
  readonly kind: 'create' | 'update' | 'remove';
}

/** What `update` replaces; an absent field stays as it is. */
export interface SecretChange {
  readonly value?: Secret;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** All changes throw store_not_private, store_not_readable, store_not_writable and shutting_down too. */
export interface Store {
  snapshot(): Snapshot;
  /** Throws secret_exists, value_too_large, invalid_permissions, invalid_owner, store_full. */
  create(name: SecretName, value: Secret, attributes: FileAttributes): Promise<StoredSecret>;
  /** Throws secret_not_found, value_too_large, invalid_permissions, invalid_owner, store_full. */
  update(name: SecretName, change: SecretChange): Promise<StoredSecret>;
  /** Throws secret_not_found. */
  remove(name: SecretName): Promise<void>;
  /**
   * Looks at the directory now. Resolves when what is there and still is in the snapshot: at once, or
   * about 50 ms later when a file was written, or taken away, just before.
   */
  rescan(): Promise<void>;
  /**
   * Calls `listener` with every new snapshot, in order, whose counter is higher than before when a secret
   * changed and the same when only an mtime, `skipped` or `problem` did. It must not throw. The result
   * ends the calls.
   */
  onChange(listener: (snapshot: Snapshot) => void): () => void;
  /** Calls `listener` with every change that somebody else made in the directory. It must not throw. The result ends the calls. */
  onOutsideChange(listener: (change: NameChange) => void): () => void;
  /** Ends the watch, after the changes under way. The last snapshot stays readable. */
  close(): Promise<void>;
}
