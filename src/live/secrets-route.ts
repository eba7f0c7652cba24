// GET /v1/secrets: all that the VM should hold, or what changed, now or once it did.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatEtag, parseEtag, type Generation } from '../wire/generation.ts';
import { DELTA_FORMAT } from '../wire/protocol.ts';
import type { Archives } from './archives.ts';
import { Generations } from './generations.ts';
import type { LiveLimits } from './limits.ts';
import { respond, respondTooMany, type ResponseLimits } from './response.ts';
import { TokenBucket } from './token-bucket.ts';
import type { View } from './view.ts';
import type { ReadItem, RefusalReason } from './witness.ts';

/** A poll waits for a change; the other kind is answered at once. */
type Kind = 'poll' | 'now';

/** What the guest says it holds, where that is something it was sent. */
interface Held {
  readonly generation: Generation;
  readonly version: number;
}

interface Request {
  readonly response: ServerResponse;
  readonly held: Held | undefined;
  readonly takesDelta: boolean;
}

export interface SecretsRouteParts {
  readonly archives: Archives;
  readonly limits: ResponseLimits & Pick<LiveLimits, 'packing'>;
  /** Milliseconds; must not go backwards. */
  readonly monotonicMs: () => number;
  /** Of the generations; see there. */
  readonly epoch: string;
  readonly view: () => View;
  /** The guest holds what it was sent of this version. */
  readonly onHeld: (version: number) => void;
  /** The poll was answered, or its connection ended. */
  readonly onPollEnd: () => void;
  /** These secrets are about to be sent; they are when the result resolves. */
  readonly onRead: (items: readonly ReadItem[], version: number) => Promise<unknown>;
  readonly onRefused: (reason: RefusalReason) => void;
  readonly onFault: (error: unknown) => void;
}

export class SecretsRoute {
  readonly #parts: SecretsRouteParts;
  readonly #generations: Generations;
  /** Bytes that are packed for this VM. */
  readonly #packing: TokenBucket;
  /** At most one request of each kind, so that at most two archives are on their way to one guest. */
  readonly #current: Record<Kind, ServerResponse | undefined> = { poll: undefined, now: undefined };
  /** The poll that waits for a change. */
  #waiting: Request | undefined;

  constructor(parts: SecretsRouteParts) {
    this.#parts = parts;
    this.#generations = new Generations(parts.epoch);
    this.#packing = new TokenBucket(parts.limits.packing, parts.monotonicMs);
  }

  get isPollHeld(): boolean {
    return this.#waiting !== undefined;
  }

  /** Whether there is one that waits, or is being answered. */
  get hasPoll(): boolean {
    return this.#current.poll !== undefined;
  }

  serve(kind: Kind, request: IncomingMessage, response: ServerResponse): void {
    this.#takePlace(kind, response);
    const held = this.#heldOf(request.headers['if-none-match']);
    if (held !== undefined) this.#parts.onHeld(held.version);
    const asked = { response, held, takesDelta: request.headers['a-im'] === DELTA_FORMAT };
    if (held === undefined || !this.#isCurrent(held)) void this.#send(asked);
    else if (kind === 'now') respond(response, 304, { ETag: formatEtag(held.generation) }, NO_BODY, this.#parts.limits);
    else this.#waiting = asked;
  }

  /** The view may have changed: answers the poll that waits for that. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || (waiting.held !== undefined && this.#isCurrent(waiting.held))) return;
    this.#waiting = undefined;
    void this.#send(waiting);
  }

  /** Forgets the poll that waits, without a word to it. */
  abandonPoll(): void {
    this.#waiting = undefined;
  }

  /** A newer request of a kind ends the one before: its guest was reset and left it open, or plays games. */
  #takePlace(kind: Kind, response: ServerResponse): void {
    const before = this.#current[kind];
    this.#current[kind] = response;
    if (before !== undefined && before.socket !== response.socket) before.socket?.destroy();
    response.once('close', () => {
      if (this.#current[kind] === response) this.#current[kind] = undefined;
      if (this.#waiting?.response === response) this.#waiting = undefined;
      if (kind === 'poll') this.#parts.onPollEnd();
    });
  }

  #heldOf(tag: string | undefined): Held | undefined {
    const generation = parseEtag(tag ?? '');
    const version = generation === undefined ? undefined : this.#generations.versionOf(generation);
    return generation === undefined || version === undefined ? undefined : { generation, version };
  }

  #isCurrent({ version }: Held): boolean {
    return version === this.#parts.view().version;
  }

  async #send({ response, held, takesDelta }: Request): Promise<void> {
    const { archives, limits, onRead, onRefused, onFault } = this.#parts;
    try {
      const view = this.#parts.view();
      const base = takesDelta ? held : undefined;
      const offer = archives.offer(view, base?.version);
      const waitMs = this.#packing.take(offer.packBytes);
      if (waitMs > 0) {
        onRefused('too_many_requests');
        return respondTooMany(response, waitMs, limits, { Connection: 'close' });
      }
      const tag = formatEtag(this.#generations.of(view.version));
      const archive = await offer.take();
      if (offer.items.length > 0) await onRead(offer.items, view.version);
      const headers = { 'Content-Type': 'application/x-tar', 'Cache-Control': 'no-store', ETag: tag };
      if (base === undefined) return respond(response, 200, headers, archive, limits);
      const delta = { IM: DELTA_FORMAT, 'Delta-Base': formatEtag(base.generation) };
      respond(response, 226, { ...headers, ...delta }, archive, limits);
    } catch (error) {
      onFault(error);
      response.destroy();
    }
  }
}

const NO_BODY = Buffer.alloc(0);
