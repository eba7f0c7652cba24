// Whether there is something new since it was last asked. What comes while nobody waits is not forgotten.

export class News {
  readonly #stop: () => void;
  #isNew = true;
  #tell: (() => void) | undefined;

  /** `subscribe` is given what to call when there is news, and returns how to stop that. */
  constructor(subscribe: (tell: () => void) => () => void) {
    this.#stop = subscribe(() => this.tell());
  }

  tell(): void {
    this.#isNew = true;
    this.#tell?.();
  }

  /** Resolves when there is news since the last call; the first time at once. */
  async next(): Promise<void> {
    if (!this.#isNew) await new Promise<void>((resolve) => (this.#tell = resolve));
    this.#isNew = false;
  }

  close(): void {
    this.#stop();
  }
}
