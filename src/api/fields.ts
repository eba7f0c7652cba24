// Schemas of single fields. Each turns text from outside into the type that the inside works with, and
// says what the field must be without quoting what it was: it may have been a secret.
import { z } from '@hono/zod-openapi';
import type { ErrorCode } from '../errors/catalogue.ts';
import { ID_MAX, parsePermissions } from '../secret/file-attributes.ts';
import { parseSecretName, SECRET_NAME_MAX_LENGTH, SECRET_NAME_RULE } from '../secret/name.ts';
import { Secret, SECRET_MAX_BYTES } from '../secret/secret.ts';
import { decodeBase64 } from './base64.ts';
import { DURATION_RULE, parseDurationMs } from './duration.ts';
import { HOSTNAME, HOSTNAME_RULE } from './hostname.ts';

/** The message of an issue: the field's path stands before it (see problems.ts). */
export const must = (rule: string): { error: (issue: { input?: unknown }) => string } => ({
  error: (issue) => (issue.input === undefined ? 'is missing' : `must be ${rule}`),
});

/** An issue with an error code of its own; `message` is the whole fact. */
export const issue = (code: ErrorCode, message: string, hint?: string) =>
  ({ code: 'custom', message, params: { code, hint } }) as const;

export const secretName = z
  .string(must(SECRET_NAME_RULE))
  .transform((text, context) => {
    const name = parseSecretName(text);
    if (name !== undefined) return name;
    context.addIssue({ code: 'custom', message: `must be ${SECRET_NAME_RULE}` });
    return z.NEVER;
  })
  .openapi({ type: 'string', maxLength: SECRET_NAME_MAX_LENGTH, pattern: '^[A-Za-z0-9_-][A-Za-z0-9._-]*$', example: 'api-key' });

/** A value in base64, 0 bytes to 1 MiB. */
export const secretValue = z
  .string(must('base64 (RFC 4648, padded)'))
  .transform((text, context) => {
    const bytes = decodeBase64(text);
    if (bytes === undefined) {
      context.addIssue({ code: 'custom', message: 'must be base64 (RFC 4648, padded)' });
      return z.NEVER;
    }
    if (bytes.byteLength > SECRET_MAX_BYTES) {
      context.addIssue(issue('value_too_large', `the value is ${bytes.byteLength} bytes; the limit is ${SECRET_MAX_BYTES}`));
      return z.NEVER;
    }
    return new Secret(bytes);
  })
  .openapi({ type: 'string', format: 'byte', description: 'The value in base64; at most 1 MiB decoded', example: 'aHVudGVyMg==' });

const PERMISSIONS_RULE = 'three octal digits, such as "0600": no setuid, setgid or sticky bit';

export const permissions = z
  .string(must(PERMISSIONS_RULE))
  .transform((text, context) => {
    const mode = parsePermissions(text);
    if (mode !== undefined) return mode;
    context.addIssue({ code: 'custom', message: `must be ${PERMISSIONS_RULE}` });
    return z.NEVER;
  })
  .openapi({ type: 'string', pattern: '^0?[0-7]{3}$', example: '0600' });

const ID_RULE = `a whole number from 0 to ${ID_MAX}`;

/** A user or group id in JSON. */
export const id = z.int(must(ID_RULE)).min(0, must(ID_RULE)).max(ID_MAX, must(ID_RULE));

/** A whole number in a query. */
export const wholeNumber = (max: number) => {
  const rule = `a whole number from 0 to ${max}`;
  return z
    .string(must(rule))
    .regex(/^\d{1,15}$/, must(rule))
    .transform(Number)
    .refine((value) => value <= max, must(rule))
    .openapi({ type: 'integer', minimum: 0, maximum: max });
};

export const idText = wholeNumber(ID_MAX);

export const duration = z
  .string(must(DURATION_RULE))
  .transform((text, context) => {
    const durationMs = parseDurationMs(text);
    if (durationMs !== undefined) return durationMs;
    context.addIssue({ code: 'custom', message: `must be ${DURATION_RULE}` });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: '30s', description: 'A duration as Go writes it' });

export const flag = z
  .enum(['true', 'false'], must('true or false'))
  .transform((text) => text === 'true')
  .openapi({ type: 'boolean' });

/** A repeated query parameter: none, one or many. */
export const repeated = z
  .union([z.string(), z.array(z.string())], must('text'))
  .optional()
  .transform((value) => (value === undefined ? [] : typeof value === 'string' ? [value] : value))
  .openapi({ type: 'array', items: { type: 'string' } });

/** Whatever names a VM or a group in a path: what is not known is not found, however it is spelt. */
export const pathSegment = z.string().min(1);

export const hostname = z
  .string(must(HOSTNAME_RULE))
  .regex(HOSTNAME, must(HOSTNAME_RULE))
  .openapi({ example: 'web-1' });

export const timestamp = z.iso.datetime({ offset: true }).openapi({ format: 'date-time', example: '2025-12-08T11:12:00.000Z' });

/** Bytes, for what a person or a program in a guest wrote as text. */
export const utf8Length = (text: string): number => Buffer.byteLength(text);
