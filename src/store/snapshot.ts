// What the store holds at one moment, as values that never change.
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
