// The session with one guest's agent: who holds the key, and the dials that bring a new one. A guest may
// ask as often as it likes; it is dialled one at a time and at a bounded rate.
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { AgentConnection } from './agent-connection.ts';
import { late, unreachable } from './agent-dial.ts';
import { AgentSockets, type GuestConnections } from './agent-sockets.ts';
import { withDeadline } from './deadline.ts';
import { authorizeCall, offerSession } from './handshake.ts';
import type { LiveLimits } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';
import { Turns } from './turns.ts';

export interface SessionKeeperParts {
  readonly vsockPath: string;
  readonly vmUid: number | undefined;
  readonly bootToken: Secret | undefined;
  readonly limits: LiveLimits;
  readonly randomHex: () => string;
  readonly monotonicMs: () => number;
  readonly guestConnections: GuestConnections;
  /** There is a new key; the one before is worth nothing any more. */
  readonly onSession: () => void;
  readonly onFault: (error: Error) => void;
}

export const notReady = (): SlicerError =>
  fail('agent_not_ready', 'the agent in the guest has no session yet', 'slicer vm logs NAME shows how far the guest has booted');

const tooManyDials = (): SlicerError =>
  fail('too_many_requests', 'too many calls to the agent in the guest are being made, and none gets on', 'try again in a second');

export const wasReset = (): SlicerError => unreachable('the guest was reset');

/** A connection on which both sides proved the session key. */
export interface ProvenConnection {
  readonly connection: AgentConnection;
  /** The header that goes with the one call on it. */
  readonly authorization: string;
  /** To be called when the agent has answered the call: then it has seen the proof. */
  readonly taken: () => void;
}

export class SessionKeeper {
  readonly #parts: SessionKeeperParts;
  readonly #rate: TokenBucket;
  readonly #closing = new AbortController();
  readonly #sockets: AgentSockets;
  readonly #turns: Turns;
  /** Ends what was under way when the guest is reset. */
  #untilReset = new AbortController();
  #key: string | undefined;
  #agentVersion: string | undefined;
  #dialling: Promise<void> | undefined;
  /** A hello came while the guest was being dialled, maybe too late for that dial. */
  #again = false;
  /** The dial for hellos that came too fast. */
  #later: NodeJS.Timeout | undefined;

  constructor(parts: SessionKeeperParts) {
    this.#parts = parts;
    this.#rate = new TokenBucket(parts.limits.hellos, parts.monotonicMs);
    this.#sockets = new AgentSockets(parts.vsockPath, parts.guestConnections, parts.vmUid);
    this.#turns = new Turns(parts.limits.unprovenCallsMax);
  }

  get key(): string | undefined {
    return this.#key;
  }

  /** Of the agent that has the session, or had it last; undefined where it tells none. */
  get agentVersion(): string | undefined {
    return this.#agentVersion;
  }

  /** The guest asks for a session. 0 when it is dialled now, else the milliseconds until it is. */
  hello(): number {
    this.#sockets.guestUp();
    if (this.#dialling !== undefined) {
      this.#again = true;
      return 0;
    }
    const waitMs = this.#rate.take();
    if (waitMs === 0) void this.offer();
    else this.#later ??= setTimeout(() => this.#helloAgain(), waitMs);
    return waitMs;
  }

  /** Whoever floods the host with hellos must not keep the agent, whose hello may be among them, from its session. */
  #helloAgain(): void {
    this.#later = undefined;
    this.hello();
  }

  /** Dials the agent and offers it a session; resolves when that is over, well or not. */
  offer(): Promise<void> {
    this.#dialling ??= this.#dial().finally(() => {
      this.#dialling = undefined;
    });
    return this.#dialling;
  }

  /**
   * Throws agent_not_ready, agent_unreachable, agent_protocol, too_many_requests, or the signal's reason.
   */
  async prove(signal: AbortSignal): Promise<ProvenConnection> {
    const taken = await this.#inTime([signal], (inTime) => this.#turns.take(inTime), this.#parts.limits.turnMs, tooManyDials);
    try {
      const key = this.#key;
      if (key === undefined) throw notReady();
      return await this.#inTime([signal], async (inTime) => {
        const connection = await AgentConnection.dial(this.#sockets, inTime);
        connection.onceEnded(taken);
        try {
          const authorization = await authorizeCall(connection, key, this.#parts.randomHex, inTime);
          return { connection, authorization, taken };
        } catch (error) {
          connection.close();
          throw error;
        }
      });
    } catch (error) {
      taken();
      throw error;
    }
  }

  /** The session ended with the guest's memory; the guest's next hello begins another. */
  guestReset(): void {
    this.#sockets.guestDown();
    this.#untilReset.abort(wasReset());
    this.#untilReset = new AbortController();
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#again = false;
    this.#key = undefined;
  }

  close(): void {
    clearTimeout(this.#later);
    this.#key = undefined;
    this.#closing.abort(fail('shutting_down', 'the VM is not served any more'));
    this.#sockets.close();
  }

  async #dial(): Promise<void> {
    do {
      this.#again = false;
      try {
        if (await this.#offerOnce()) return;
      } catch (error) {
        if (!this.#closing.signal.aborted && !this.#sockets.isGuestDown) this.#parts.onFault(error as Error);
      }
    } while (this.#again && !this.#closing.signal.aborted && this.#rate.take() === 0);
  }

  #offerOnce(): Promise<boolean> {
    const { bootToken, randomHex, onSession } = this.#parts;
    const token = bootToken === undefined ? '' : Buffer.from(bootToken.reveal()).toString('latin1');
    return this.#inTime([], async (signal) => {
      const connection = await AgentConnection.dial(this.#sockets, signal);
      try {
        return await offerSession(connection, token, randomHex, (key, agentVersion) => {
          this.#key = key;
          this.#agentVersion = agentVersion;
          onSession();
        }, signal);
      } finally {
        connection.close();
      }
    });
  }

  #inTime<T>(
    parents: readonly AbortSignal[], work: (signal: AbortSignal) => Promise<T>, timeMs = this.#parts.limits.handshakeMs, isLate = late,
  ): Promise<T> {
    return withDeadline(timeMs, isLate, [...parents, this.#closing.signal, this.#untilReset.signal], work);
  }
}
