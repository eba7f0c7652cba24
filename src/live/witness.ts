// What is kept on record of a guest, and counted: the live channel tells it, and does not know who listens.
import type { Item } from './view.ts';

/** Why a guest was refused. Words of ours: nothing of what it sent is among them. */
export type RefusalReason =
  /** A request without a session key, where one is needed. */
  | 'no_key'
  /** One with a key that is not the present session's. */
  | 'wrong_key'
  /** It was dialled, and could not prove that it is root, or broke the protocol. */
  | 'wrong_proof'
  /** It named a secret that it was not granted. */
  | 'not_granted'
  | 'not_found'
  /** No request of the protocol's narrow form. */
  | 'malformed'
  | 'too_large'
  | 'too_many_connections'
  | 'too_many_requests'
  /** It did not send, or take, what it should in time. */
  | 'too_slow';

export type ReadItem = Pick<Item, 'secret' | 'credential' | 'version'>;

/** Called on the way of every request: must be quick, and must not throw. */
export interface Witness {
  /** These secrets, up to this version, are about to be sent; they are when the result resolves, which it always does. */
  read(vm: string, items: readonly ReadItem[], version: number): Promise<unknown>;
  refused(vm: string, reason: RefusalReason): void;
  /** The guest confirmed a change, this long after it was there to be sent. */
  pushed(seconds: number): void;
  /** The VM is not served any more. */
  ended(vm: string): void;
}

export const NO_WITNESS: Witness = {
  read: () => Promise.resolve(),
  refused: () => undefined,
  pushed: () => undefined,
  ended: () => undefined,
};
