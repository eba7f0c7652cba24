// A token bucket: lets a burst through and then a steady rate.
import type { Rate } from './limits.ts';

export class TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #tokens: number;
  #filledAtMs: number;

  /** `nowMs` must not go backwards. */
  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#tokens = rate.burst;
    this.#filledAtMs = nowMs();
  }

  /**
   * Takes `tokens`, or the whole burst where that is less; 0 when they were there, else the milliseconds
   * until they are.
   */
  take(tokens = 1): number {
    const taken = Math.min(tokens, this.#rate.burst);
    const now = this.#nowMs();
    const earned = ((now - this.#filledAtMs) / 1000) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + earned);
    this.#filledAtMs = now;
    if (this.#tokens < taken) return Math.ceil(((taken - this.#tokens) / this.#rate.perSecond) * 1000);
    this.#tokens -= taken;
    return 0;
  }

  /** Takes `tokens` that are not there too, down to a burst less than none: who owes waits the longer. */
  owe(tokens: number): void {
    this.#tokens = Math.max(-this.#rate.burst, this.#tokens - tokens);
  }
}
