// How long a test waits for what must come: for an event that a working Slicer always brings, so long that a
// slow machine does not matter. Nothing here says how fast anything is.
import { setTimeout as delay } from 'node:timers/promises';

/** By how much all limits are longer: a machine that is itself emulated needs more than one. */
export const PATIENCE = Number(process.env['SLICER_TEST_PATIENCE'] ?? 1);

/** What is not there by then never comes. */
export const LIMIT_MS = 120_000 * PATIENCE;

const LOOK_MS = 50;

/** Resolves when `isReached` says so; throws with `what` when it never does. For what tells of itself by no event. */
export async function eventually(what: string | (() => string), isReached: () => boolean | Promise<boolean>, limitMs = LIMIT_MS): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!await isReached()) {
    if (Date.now() > deadline) throw new Error(`not after ${limitMs} ms: ${typeof what === 'string' ? what : what()}`);
    await delay(LOOK_MS);
  }
}
