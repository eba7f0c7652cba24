// Turns at something that only so many may do at once; the others wait in the order in which they came.

interface Waiting {
  take(): void;
}

export class Turns {
  #free: number;
  readonly #waiting = new Set<Waiting>();

  /** How many may have a turn at once. */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Resolves with how to end the turn; a second call of that does nothing. Throws the signal's reason. */
  take(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#free > 0) {
        this.#free -= 1;
        return resolve(this.#turn());
      }
      const onAbort = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        take: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#turn());
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', onAbort);
    });
  }

  #turn(): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const [next] = this.#waiting;
      if (next === undefined) {
        this.#free += 1;
        return;
      }
      this.#waiting.delete(next);
      next.take();
    };
  }
}
