// Whether the session still stands, and whether the poll is still held, asked when a host dials though the agent believes
// itself connected. vhost-device-vsock 0.3.0 may keep from the guest that a daemon was killed, or lose an answer, and
// the agent would wait for ever. A host that is back dials by itself, and so does one that hears nothing of what it
// sent, and any whom another process of the guest sends a hello. So it is asked on a connection of its own, once a second
// at most, and nothing that works is given up: under a flood of connections the agent might get no other.
import * as os from 'os';

const PAUSE_MS = 1000;

/** `behind`: the host would send something else than is held, which the poll should have brought. */
export type Standing = 'current' | 'behind' | 'refused';

export interface SessionCheckParts {
  readonly ask: () => Promise<Standing>;
  readonly onRefused: () => void;
  /** How long nothing has come of the poll's answer. */
  readonly pollSilentMs: () => number;
  readonly onLost: () => void;
}

export class SessionCheck {
  readonly #parts: SessionCheckParts;
  #isUnderWay = false;
  #isDue = false;

  constructor(parts: SessionCheckParts) {
    this.#parts = parts;
  }

  /** Asks now, or once more when what is under way is done. */
  async begin(): Promise<void> {
    this.#isDue = true;
    if (this.#isUnderWay) return;
    const { ask, onRefused, pollSilentMs, onLost } = this.#parts;
    for (this.#isUnderWay = true; this.#isDue;) {
      this.#isDue = false;
      // A host that can't be asked is gone again; the next one dials too.
      const standing = await ask().catch(() => undefined);
      if (standing === 'refused') onRefused();
      await new Promise<void>((resolve) => os.setTimeout(resolve, PAUSE_MS));
      // What was on its way has had time to come.
      if (standing === 'behind' && pollSilentMs() >= PAUSE_MS) onLost();
    }
    this.#isUnderWay = false;
  }
}
