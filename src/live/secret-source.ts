// Where the live channel takes secrets from: no more of a store than it needs, so that secrets which were
// never in one can be served too.
import type { Snapshot } from '../store/contract.ts';

/**
 * What a source holds at one moment, a value that never changes. No secret's version, and no removal's, is
 * above the counter; the counter grows with every change of a secret and never otherwise.
 */
export type SourceSnapshot = Pick<Snapshot, 'counter' | 'secrets' | 'removed'>;

export interface SecretSource {
  /** The same object until something changes: what is packed for one VM is kept with it for the next. */
  snapshot(): SourceSnapshot;
  /** Calls `listener` with every new snapshot, in order. It must not throw. The result ends the calls. */
  onChange(listener: (snapshot: SourceSnapshot) => void): () => void;
}
