// The calls of one VM (commands and the like) that run or wait for a connection, as many as its limit says.
import { fail } from '../errors/slicer-error.ts';
import { agentCall } from './agent-call.ts';
import type { AgentConnection } from './agent-connection.ts';
import type { AgentCall } from './contract.ts';
import type { LiveLimits } from './limits.ts';
import type { ProvenConnection } from './session-keeper.ts';

export class Calls {
  readonly #hostname: string;
  readonly #limits: LiveLimits;
  readonly #prove: (signal: AbortSignal) => Promise<ProvenConnection>;
  readonly #running = new Set<AgentConnection>();
  /** Calls that have no connection yet. */
  #waiting = 0;

  constructor(hostname: string, limits: LiveLimits, prove: (signal: AbortSignal) => Promise<ProvenConnection>) {
    this.#hostname = hostname;
    this.#limits = limits;
    this.#prove = prove;
  }

  /** Throws too_many_requests beyond the limit, and what `prove` throws. */
  async begin(signal: AbortSignal): Promise<AgentCall> {
    const max = this.#limits.callsMax;
    if (this.#running.size + this.#waiting >= max) {
      throw fail('too_many_requests', `vm "${this.#hostname}" has ${max} calls at once, of which most are commands that run; it can have no more`, 'wait until one has ended');
    }
    this.#waiting += 1;
    try {
      const proven = await this.#prove(signal);
      this.#running.add(proven.connection);
      proven.connection.onceEnded(() => this.#running.delete(proven.connection));
      return agentCall(proven, this.#limits);
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Ends every call that runs, with `error` as the reason where there is one. */
  end(error?: Error): void {
    for (const connection of [...this.#running]) connection.close(error);
  }
}
