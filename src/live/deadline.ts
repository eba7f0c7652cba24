// Work that must be over in time. Built on a timer that is held until the work is over: a signal from
// AbortSignal.timeout() that only AbortSignal.any() refers to may be collected before it fires (Node 20).

/**
 * Runs `work` with a signal that aborts with `late()` after `timeMs`, or with a parent's reason when that
 * aborts first. The signal is of no use after `work` has settled.
 */
export async function withDeadline<T>(
  timeMs: number,
  late: () => Error,
  parents: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late()), timeMs);
  const ends = parents.map((parent) => {
    const onAbort = (): void => controller.abort(parent.reason);
    if (parent.aborted) onAbort();
    parent.addEventListener('abort', onAbort);
    return () => parent.removeEventListener('abort', onAbort);
  });
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    for (const end of ends) end();
  }
}
