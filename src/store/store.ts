import type { FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import type { Snapshot, StoredSecret } from './snapshot.ts';

export type { SkippedFile, Snapshot, StoredSecret } from './snapshot.ts';

/** What `update` replaces; an absent field stays as it is. */
export interface SecretChange {
  readonly value?: Secret;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface Store {
  snapshot(): Snapshot;
  /** Throws secret_exists, value_too_large, store_full, store_not_writable. */
  create(name: SecretName, value: Secret, attributes: FileAttributes): Promise<StoredSecret>;
  /** Throws secret_not_found, value_too_large, store_full, store_not_writable. */
  update(name: SecretName, change: SecretChange): Promise<StoredSecret>;
  /** Throws secret_not_found, store_not_writable. */
  remove(name: SecretName): Promise<void>;
  /** Looks at the directory now; resolves when what is there and still is in the snapshot. */
  rescan(): Promise<void>;
  /** Calls `listener` with every new snapshot, in order; returns what ends that. */
  onChange(listener: (snapshot: Snapshot) => void): () => void;
  /** Stops watching, waits for changes under way. The snapshot stays readable. */
  close(): Promise<void>;
}
