// Who is told when a VM's status may have changed, and who waits for it to be something.

export class StatusListeners {
  readonly #listeners = new Set<() => void>();

  /** Returns how to stop. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Resolves when `isReached` holds, now or after a change. Rejects with the signal's reason, or with `ended()` once that is something. */
  until(isReached: () => boolean, ended: () => Error | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        stop();
        signal.removeEventListener('abort', onAbort);
        end();
      };
      const onAbort = (): void => settle(() => reject(signal.reason as Error));
      const check = (): void => {
        if (isReached()) return settle(resolve);
        if (signal.aborted) return onAbort();
        const error = ended();
        if (error !== undefined) settle(() => reject(error));
      };
      const stop = this.add(check);
      signal.addEventListener('abort', onAbort);
      check();
    });
  }
}
