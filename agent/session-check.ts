// Whether the session still stands, asked when a host dials though the agent believes itself connected.
// vhost-device-vsock 0.3.0 may keep from the guest that a daemon was killed, and the agent then waits for ever: for
// the answer to a held poll, or for the rest of one. A host that is back dials by itself, and so does any whom
// another process of the guest sends a hello; so one request a second is made at most, and a session that stands stays.
import * as os from 'os';

const PAUSE_MS = 1000;

export class SessionCheck {
  readonly #isRefused: () => Promise<boolean>;
  readonly #onRefused: () => void;
  #isUnderWay = false;
  #isDue = false;

  /** `isRefused` asks the host, on a connection of its own. */
  constructor(isRefused: () => Promise<boolean>, onRefused: () => void) {
    this.#isRefused = isRefused;
    this.#onRefused = onRefused;
  }

  /** Asks now, or once more when what is under way is done. */
  async begin(): Promise<void> {
    this.#isDue = true;
    if (this.#isUnderWay) return;
    for (this.#isUnderWay = true; this.#isDue;) {
      this.#isDue = false;
      // A host that can't be asked is gone again; the next one dials too.
      if (await this.#isRefused().catch(() => false)) this.#onRefused();
      await new Promise<void>((resolve) => os.setTimeout(resolve, PAUSE_MS));
    }
    this.#isUnderWay = false;
  }
}
