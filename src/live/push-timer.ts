// How long a change takes from when it is there to be sent to a guest that waits for it until the guest
// confirms it. Several changes that are sent as one count from the first.

export class PushTimer {
  readonly #monotonicMs: () => number;
  #sinceMs: number | undefined;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  changed(): void {
    this.#sinceMs ??= this.#monotonicMs();
  }

  /** The guest holds all there is: the seconds since the change, undefined when there was none. */
  confirmed(): number | undefined {
    if (this.#sinceMs === undefined) return undefined;
    const seconds = (this.#monotonicMs() - this.#sinceMs) / 1000;
    this.#sinceMs = undefined;
    return seconds;
  }

  /** The guest is another one now, or waits no more. */
  forget(): void {
    this.#sinceMs = undefined;
  }
}
