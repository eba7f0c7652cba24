// The poll that waits at the host for a change. It is made anew when nothing was heard of it for long, or when it is
// known that what the host sent has not come: a VSOCK device may have lost the answer, or the poll itself, and have told
// neither side.
import { toFault } from './fault.ts';
import { HostClient, SILENT } from './host-client.ts';
import type { Sync } from './sync.ts';

/** Seldom enough to cost nothing. */
const SILENCE_MAX_MS = 10 * 60 * 1000;

export class HeldPoll {
  readonly client: HostClient;
  readonly #sync: Sync;
  #isGivenUp = false;

  constructor(sync: Sync, dial: () => number) {
    this.client = new HostClient(dial, SILENCE_MAX_MS);
    this.#sync = sync;
  }

  /** Whether it was answered, and all that came is in place: false when it was given up. Throws a `Fault`. */
  async answered(): Promise<boolean> {
    this.#isGivenUp = false;
    try {
      await this.#sync.poll(this.client);
      return true;
    } catch (error) {
      const fault = toFault(error);
      if (this.#isGivenUp || fault.code === SILENT) return false;
      throw fault;
    }
  }

  /** The next one tells the host what is held. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.client.close();
  }
}
