// GET /v1/secrets: all that the VM is granted, or what changed, now or once it did.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatEtag, parseEtag, type Generation } from '../wire/generation.ts';
import { DELTA_FORMAT } from '../wire/protocol.ts';
import type { Archives } from './archives.ts';
import { respond, type ResponseLimits } from './response.ts';
import type { View } from './view.ts';

/** Differences are made to the last few generations that were sent; who holds another gets everything. */
const BASES_MAX = 8;

/** A poll waits for a change; the other kind is answered at once. */
type Kind = 'poll' | 'now';

interface Request {
  readonly response: ServerResponse;
  /** What the guest says it holds. */
  readonly held: Generation | undefined;
  readonly takesDelta: boolean;
}

export interface SecretsRouteParts {
  readonly archives: Archives;
  readonly limits: ResponseLimits;
  readonly view: () => View;
  readonly onHeld: (held: Generation) => void;
  /** The poll was answered, or its connection ended. */
  readonly onPollEnd: () => void;
  readonly onFault: (error: unknown) => void;
}

export class SecretsRoute {
  readonly #parts: SecretsRouteParts;
  /** At most one request of each kind, so that at most two archives are on their way to one guest. */
  readonly #current: Record<Kind, ServerResponse | undefined> = { poll: undefined, now: undefined };
  /** The poll that waits for a change. */
  #waiting: Request | undefined;
  #bases: readonly number[] = [];

  constructor(parts: SecretsRouteParts) {
    this.#parts = parts;
  }

  get isPollHeld(): boolean {
    return this.#waiting !== undefined;
  }

  serve(kind: Kind, request: IncomingMessage, response: ServerResponse): void {
    this.#takePlace(kind, response);
    const held = parseEtag(request.headers['if-none-match'] ?? '');
    if (held !== undefined) this.#parts.onHeld(held);
    const asked = { response, held, takesDelta: request.headers['a-im'] === DELTA_FORMAT };
    if (!this.#isCurrent(held)) void this.#send(asked);
    else if (kind === 'now') respond(response, 304, { ETag: formatEtag(this.#parts.view().generation) }, NO_BODY, this.#parts.limits);
    else this.#waiting = asked;
  }

  /** The view may have changed: answers the poll that waits for that. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#isCurrent(waiting.held)) return;
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

  #isCurrent(held: Generation | undefined): boolean {
    const { epoch, counter } = this.#parts.view().generation;
    return held !== undefined && held.epoch === epoch && held.counter === counter;
  }

  async #send({ response, held, takesDelta }: Request): Promise<void> {
    try {
      const view = this.#parts.view();
      const { epoch, counter } = view.generation;
      const base = takesDelta && held !== undefined && held.epoch === epoch && this.#bases.includes(held.counter)
        ? held.counter
        : undefined;
      if (!this.#bases.includes(counter)) this.#bases = [counter, ...this.#bases].slice(0, BASES_MAX);
      const archive = await this.#parts.archives.get(view, base);
      const headers = { 'Content-Type': 'application/x-tar', 'Cache-Control': 'no-store', ETag: formatEtag(view.generation) };
      if (base === undefined) return respond(response, 200, headers, archive, this.#parts.limits);
      const delta = { IM: DELTA_FORMAT, 'Delta-Base': formatEtag({ epoch, counter: base }) };
      respond(response, 226, { ...headers, ...delta }, archive, this.#parts.limits);
    } catch (error) {
      this.#parts.onFault(error);
      response.destroy();
    }
  }
}

const NO_BODY = Buffer.alloc(0);
