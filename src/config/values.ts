// The values that configuration files are made of, one at a time, and what is said of those that are wrong.
import * as z from 'zod';
import { parseSecretName, SECRET_NAME_RULE } from '../secret/name.ts';

export const MIB = 1024 * 1024;

/** What a value is, for a message: a scalar as it stands if it is short, the kind of anything else. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value !== 'string') return String(value);
  return value.length <= 60 && !/\p{C}/u.test(value) ? JSON.stringify(value) : `a text of ${value.length} characters`;
}

export const expected = (rule: string) => ({
  error: ({ input }: { input?: unknown }) =>
    (input === undefined ? `is missing; expected ${rule}` : `expected ${rule}, got ${describe(input)}`),
});

/** An integer from `min` to `max`. */
export const integer = (min: number, max: number) => {
  const rule = expected(`an integer of ${min} to ${max}`);
  return z.int(rule).min(min, rule).max(max, rule);
};

/** A text that `accepts` says yes to; `rule` says in words which those are. */
export const matching = (rule: string, accepts: (text: string) => boolean) =>
  z.string(expected(rule)).refine(accepts, expected(rule));

export const text = (rule: string) => matching(rule, (value) => value !== '' && !value.includes('\0'));

// Says nothing of what is there: somebody may have put a value where its name belongs.
const NAME_RULE = `expected the name of a secret: ${SECRET_NAME_RULE}`;
export const secretName = z.string(NAME_RULE).transform((value, context) => {
  const name = parseSecretName(value);
  if (name !== undefined) return name;
  context.addIssue({ code: 'custom', message: NAME_RULE });
  return z.NEVER;
});

export const trueOrFalse = z.boolean(expected('true or false')).optional();

export const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, expected(`one of ${words.join(', ')}`));

const SIZE = /^([1-9][0-9]{0,14}) ?(KiB|MiB|GiB)?$/;
const SIZE_UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: MIB, GiB: 1024 * MIB };

/** A number of bytes, or a text as `64MiB`; made bytes. */
export const size = (minBytes: number, maxBytes: number, rule: string) => z.unknown().transform((value, context) => {
  const [, digits, unit] = SIZE.exec(typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '') ?? [];
  const bytes = Number(digits) * (unit === undefined ? 1 : SIZE_UNITS[unit] as number);
  if (bytes >= minBytes && bytes <= maxBytes) return bytes;
  context.addIssue({ code: 'custom', message: expected(rule).error({ input: value }) });
  return z.NEVER;
});
