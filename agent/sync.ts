// Keeps secrets and credentials at what the host says. Two ways lead in: the poll, on which the host
// answers when something changed, and a sync that somebody asks for. Only one writes at a time.
import * as os from 'os';
import { DELTA_FORMAT, type Report, type ReportedError } from '../src/wire/protocol.ts';
import { parseEtag } from '../src/wire/generation.ts';
import type { Head } from '../src/wire/http.ts';
import { Fault, toFault } from './fault.ts';
import type { BodyTaker, HostClient } from './host-client.ts';
import type { Changes } from './place-writer.ts';
import type { Places } from './places.ts';
import { merged, NO_CHANGES, SecretsWriter } from './secrets-writer.ts';
import type { Session } from './session.ts';
import type { Standing } from './session-check.ts';
import { jsonBytes } from './text.ts';

export interface SyncResult extends Changes {
  readonly unchanged: number;
  readonly elapsedMs: number;
}

export class Sync {
  readonly #places: Places;
  readonly #session: Session;
  readonly #turn = new Turn();
  /** ETag of the generation that is in place; undefined until one is. */
  #generation: string | undefined;
  #reported = false;

  constructor(places: Places, session: Session) {
    this.#places = places;
    this.#session = session;
  }

  get generation(): string | undefined {
    return this.#generation;
  }

  /**
   * Waits for the host to say that something changed, and takes it; drops the answer when somebody else
   * writes or wrote meanwhile, since the next poll asks again. Throws a `Fault`.
   */
  async poll(host: HostClient): Promise<Changes> {
    const held = this.#generation;
    let taken = false;
    let refused = false;
    const mayWrite = (): boolean => {
      taken = held === this.#generation && this.#turn.tryTake();
      refused = !taken;
      return taken;
    };
    try {
      return await this.#fetch(host, '/v1/secrets?wait', held, mayWrite);
    } finally {
      // Whoever writes may wait for the host: until then the next answer would be dropped as well.
      if (refused) await this.#turn.take();
      if (taken || refused) this.#turn.release();
    }
  }

  /** Asks the host now, and restores what was altered in the guest. Throws a `Fault`. */
  async now(host: HostClient): Promise<SyncResult> {
    const started = os.now();
    const changes = await this.#exclusively(async () => {
      const fetched = await this.#fetch(host, '/v1/secrets', this.#generation);
      return merged(fetched, await this.#restored(host));
    });
    return {
      ...changes,
      unchanged: this.#places.count - changes.added.length - changes.changed.length,
      elapsedMs: os.now() - started,
    };
  }

  /** Puts back what somebody altered or deleted; asks the host for values only when something is. */
  async restore(host: HostClient): Promise<Changes> {
    if (this.#generation === undefined || !this.#places.isAltered) return NO_CHANGES;
    return this.#exclusively(() => this.#restored(host));
  }

  /** Tells the host why a sync failed, or that it is mended. */
  async report(host: HostClient, fault: Fault | undefined): Promise<void> {
    if (fault === undefined && !this.#reported) return;
    const errors: ReportedError[] = fault === undefined ? [] : [{
      ...(fault.secretName === undefined ? {} : { name: fault.secretName }),
      code: fault.code,
      message: fault.message,
    }];
    const body: Report = { generation: this.#generation ?? '', errors };
    await host.request({
      method: 'POST', target: '/v1/report', headers: this.#session.authorization(), body: jsonBytes(body),
    });
    this.#reported = fault !== undefined;
  }

  /**
   * What the host says to the session and the generation that is held. Waits for no turn: whoever has it may wait
   * for the rest of an answer that never comes.
   */
  async standing(host: HostClient): Promise<Standing> {
    const headers = { ...this.#session.authorization(), ...ifNotHeld(this.#generation) };
    const { status } = await host.request({ method: 'GET', target: '/v1/secrets', headers, onHead: () => () => undefined });
    if (status === 401) return 'refused';
    return status === 200 || status === 226 ? 'behind' : 'current';
  }

  async #restored(host: HostClient): Promise<Changes> {
    return this.#places.isAltered ? this.#fetch(host, '/v1/secrets', undefined) : NO_CHANGES;
  }

  async #exclusively<T>(step: () => Promise<T>): Promise<T> {
    await this.#turn.take();
    try {
      return await step();
    } finally {
      this.#turn.release();
    }
  }

  async #fetch(
    host: HostClient,
    target: string,
    held: string | undefined,
    mayWrite: () => boolean = () => true,
  ): Promise<Changes> {
    let writer: SecretsWriter | undefined;
    let fault: Fault | undefined;
    let dropped = false;
    const onHead = (status: number, head: Head): BodyTaker | undefined => {
      if (status !== 200 && status !== 226) return undefined;
      if (!mayWrite()) {
        dropped = true;
        return () => undefined;
      }
      writer = this.#writerFor(status, head, held);
      const taker = writer;
      // After a fault the rest of the body is read and dropped, so that the connection stays usable.
      return (chunk) => {
        if (fault !== undefined) return;
        try {
          taker.push(chunk);
        } catch (error) {
          fault = toFault(error);
        }
      };
    };
    const headers = ifNotHeld(held);
    let status: number;
    let head: Head;
    try {
      ({ status, head } = await host.request({
        method: 'GET', target, headers: { ...this.#session.authorization(), ...headers }, onHead,
      }));
    } catch (error) {
      writer?.abort();
      throw error;
    }
    if (status === 304 || dropped) return NO_CHANGES;
    if (status === 401) throw new Fault('unauthorized', 'the host does not know this session');
    if (writer === undefined) throw new Fault('refused', `the host answered with ${status}`);
    return this.#take(writer, head, fault);
  }

  #take(writer: SecretsWriter, head: Head, fault: Fault | undefined): Changes {
    try {
      if (fault !== undefined) throw fault;
      const changes = writer.commit();
      this.#generation = head.headers.get('etag') as string;
      return changes;
    } catch (error) {
      writer.abort();
      throw toFault(error);
    }
  }

  #writerFor(status: number, head: Head, held: string | undefined): SecretsWriter {
    if (parseEtag(head.headers.get('etag') ?? '') === undefined) {
      throw new Fault('protocol', 'the host sent secrets without a generation');
    }
    if (status === 200) return new SecretsWriter(this.#places, 'full');
    if (held === undefined || head.headers.get('delta-base') !== held) {
      throw new Fault('protocol', 'the host sent a difference to another generation than the one held');
    }
    return new SecretsWriter(this.#places, 'delta');
  }
}

/** Headers that ask for what is not held yet. */
const ifNotHeld = (generation: string | undefined): Record<string, string> =>
  (generation === undefined ? {} : { 'If-None-Match': generation, 'A-IM': DELTA_FORMAT });

/** Whose turn it is to write. */
class Turn {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  tryTake(): boolean {
    if (this.#taken) return false;
    this.#taken = true;
    return true;
  }

  async take(): Promise<void> {
    while (!this.tryTake()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    this.#taken = false;
    this.#waiting.shift()?.();
  }
}
