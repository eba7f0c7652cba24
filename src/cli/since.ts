// Points in time as a user writes them: how long ago, or when.
import { fail } from '../errors/slicer-error.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const AGO = /^(?:\d{1,9}[smhd])+$/;
/** RFC 3339, the time and the zone optional: a date alone begins at midnight UTC. */
const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/i;

/** Milliseconds since 1970. Throws usage. */
export function parseSince(text: string, nowMs: number): number {
  if (AGO.test(text)) {
    const ago = [...text.matchAll(/(\d+)([smhd])/g)].reduce((sum, [, digits, unit]) => sum + Number(digits) * (UNIT_MS[unit as string] as number), 0);
    return Math.max(0, nowMs - ago);
  }
  const timeMs = TIME.test(text) && isDay(text.slice(0, 10)) ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw fail('usage', '--since must be how long ago, as 30m, 12h or 7d, or a time, as 2026-01-31 or 2026-01-31T08:00:00Z');
}

/** Whether a calendar has it: Date.parse takes 30 February for 2 March. */
const isDay = (date: string): boolean => {
  const midnight = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(date);
};
