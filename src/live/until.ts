// Waiting for something that is told of by listeners.

/**
 * Resolves when `isReached` holds, now or after a change; rejects with what it throws, or with the signal's
 * reason. `onChange` adds a listener and returns how to stop it.
 */
export function until(isReached: () => boolean, onChange: (listener: () => void) => () => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      stop();
      signal.removeEventListener('abort', onAbort);
      end();
    };
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    const check = (): void => {
      try {
        if (isReached()) settle(resolve);
        else if (signal.aborted) onAbort();
      } catch (error) {
        settle(() => reject(error as Error));
      }
    };
    const stop = onChange(check);
    signal.addEventListener('abort', onAbort);
    check();
  });
}
