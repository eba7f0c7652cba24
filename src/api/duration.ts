// Durations as Go writes them (time.ParseDuration), which public clients send: `30s`, `1m30s`, `500ms`.

/** 24 hours: no wait is longer. */
export const DURATION_MAX_MS = 24 * 60 * 60 * 1000;

export const DURATION_RULE = 'a duration from 0s to 24h, such as 30s, 1m30s or 500ms';

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  'µs': 1e-3, // U+00B5, micro sign
  'μs': 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1000,
  m: 60 * 1000,
  h: 60 * 60 * 1000,
};

const WHOLE = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Whole milliseconds, rounded up, 0 to `DURATION_MAX_MS`; undefined for anything else, a sign included. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0;
  if (text.length > 100 || !WHOLE.test(text)) return undefined;
  let sumMs = 0;
  for (const [, digits, unit] of text.matchAll(PART)) {
    sumMs += Number(digits) * (UNIT_MS[unit as string] as number);
  }
  // To the nanosecond first: 4.001 times 1000 is a little more than 4001.
  const wholeMs = Math.ceil(Math.round(sumMs * 1e6) / 1e6);
  return wholeMs <= DURATION_MAX_MS ? wholeMs : undefined;
}

/** `90000` as `1m30s`: the text that `parseDurationMs` reads back as the same number. */
export function formatDurationMs(durationMs: number): string {
  if (durationMs < 1000) return `${durationMs}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const restMs = durationMs % 60_000;
  return (hours > 0 ? `${hours}h` : '') + (minutes > 0 ? `${minutes}m` : '') + (restMs > 0 ? `${restMs / 1000}s` : '');
}
