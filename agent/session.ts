// The session with the host: a key that proves to the host that it talks to root in this guest, and to
// the agent that it talks to its host. The agent asks for one with a hello; the host dials back on a
// reserved port and offers it. An offer is taken when the agent asked or has lost its host, which dials by
// itself when it is back. Any other is refused, so that another process of the guest, which may send hellos
// too, can't make the agent lose the session it has.
import * as os from 'os';
import * as sys from 'sys';
import { equalInConstantTime, guestProof, hostProof, sessionKey, type Nonces, type Purpose } from '../src/wire/proof.ts';
import { Fault } from './fault.ts';
import type { HostClient } from './host-client.ts';

const OFFER_TIMEOUT_MS = 5000;
const ANSWER_AFTER_OFFER_MS = 50;

export class Session {
  readonly #bootToken: string;
  #key: string | undefined;
  #offered: (() => void) | undefined;
  #establishing: Promise<void> | undefined;
  #lost = false;
  /** Called when a session was taken that the agent did not ask for. */
  onTaken: () => void = () => undefined;
  /** Called when an offer is refused: it may be a host that is back, while the connection to the one before looks alive. */
  onRefused: () => void = () => undefined;

  /** `bootToken` is empty where the VM has no boot channel. */
  constructor(bootToken: string) {
    this.#bootToken = bootToken;
  }

  get established(): boolean {
    return this.#key !== undefined;
  }

  /** Whether the agent takes an offer. */
  get wanted(): boolean {
    return this.#offered !== undefined || this.#lost;
  }

  /** The host went away; the session is tried again, and an offer of another is welcome. */
  lose(): void {
    this.#lost = true;
  }

  /** The host answered within the session. */
  confirm(): void {
    this.#lost = false;
  }

  forget(): void {
    this.#key = undefined;
  }

  authorization(): Record<string, string> {
    return { Authorization: `Bearer ${this.#key}` };
  }

  /** Sends a hello and waits for the host's offer. Throws a `Fault` with code `timeout` or the connection's. */
  establish(host: HostClient): Promise<void> {
    this.#establishing ??= this.#ask(host).finally(() => {
      this.#establishing = undefined;
    });
    return this.#establishing;
  }

  async #ask(host: HostClient): Promise<void> {
    const offer = new Promise<void>((resolve, reject) => {
      const timer = os.setTimeout(() => {
        reject(new Fault('timeout', 'the host took the hello but offered no session; its log says why'));
      }, OFFER_TIMEOUT_MS);
      this.#offered = () => {
        os.clearTimeout(timer);
        resolve();
      };
    });
    offer.catch(() => undefined);
    const hello = host.request({ method: 'POST', target: '/v1/hello' }).then(({ status }) => {
      // After a 429 too the host dials, only later: somebody else may be flooding it with hellos.
      if (status !== 202 && status !== 429) throw new Fault('refused', `the host answered a hello with ${status}`);
    });
    try {
      await Promise.race([offer, hello.then(() => offer)]);
      // A host that was away and is back dials by itself; a hello to the one before is never answered.
      const timer = os.setTimeout(() => host.close(), ANSWER_AFTER_OFFER_MS);
      await hello.catch(() => undefined);
      os.clearTimeout(timer);
    } finally {
      this.#offered?.();
      this.#offered = undefined;
    }
  }

  /** The agent's side of a challenge, or undefined when there is no key for this purpose. */
  answer(purpose: Purpose, hostNonce: string): { nonces: Nonces; proof: string } | undefined {
    const key = this.#keyFor(purpose);
    if (key === undefined) {
      if (purpose !== 'call') this.onRefused();
      return undefined;
    }
    const nonces = { host: hostNonce, guest: sys.randomHex() };
    return { nonces, proof: guestProof(sys.hmacSha256, key, purpose, nonces) };
  }

  isHostProof(purpose: Purpose, nonces: Nonces, proof: string): boolean {
    const key = this.#keyFor(purpose);
    return key !== undefined && equalInConstantTime(proof, hostProof(sys.hmacSha256, key, purpose, nonces));
  }

  /** Takes the session that a proven host offers. */
  accept(share: string, nonces: Nonces): void {
    this.#key = sessionKey(sys.hmacSha256, this.#bootToken, share, nonces);
    this.#lost = false;
    if (this.#offered === undefined) return this.onTaken();
    this.#offered();
    this.#offered = undefined;
  }

  #keyFor(purpose: Purpose): string | undefined {
    if (purpose === 'call') return this.#key;
    return this.wanted ? this.#bootToken : undefined;
  }
}
