// How long nothing was heard of an agent that should have come back at once: it was answered and then says nothing.
// A VSOCK device may have lost the answer, or what the agent said to it, and have told neither side.

export interface SilenceLimits {
  /** Before the agent is looked after for the first time; each further time it is twice as long. */
  readonly silenceMs: number;
  readonly silenceMaxMs: number;
}

export class Silence {
  readonly #limits: SilenceLimits;
  readonly #onSilent: () => void;
  #timer: NodeJS.Timeout | undefined;
  #waitMs: number;

  constructor(limits: SilenceLimits, onSilent: () => void) {
    this.#limits = limits;
    this.#onSilent = onSilent;
    this.#waitMs = limits.silenceMs;
  }

  /** From now on something should be heard. */
  begin(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#waitMs = Math.min(2 * this.#waitMs, this.#limits.silenceMaxMs);
      this.begin();
      this.#onSilent();
    }, this.#waitMs);
  }

  /** It was, or nothing is expected any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waitMs = this.#limits.silenceMs;
  }
}
