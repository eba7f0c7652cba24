// Time as the store sees it, so that tests can hold it still.

export interface Clock {
  /** Milliseconds since 1970, comparable with a file's mtime. */
  wallMs(): number;
  /** Calls `run` once after `delayMs`; the result cancels that. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
