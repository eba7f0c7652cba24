// From what a schema found wrong to the problems that an answer lists. Only names and rules are told,
// never the input.
import type { z } from '@hono/zod-openapi';
import { type ErrorCode, isErrorCode } from '../errors/catalogue.ts';
import type { Problem } from '../errors/slicer-error.ts';

const FIELD_CODES: Readonly<Record<string, ErrorCode>> = {
  name: 'invalid_name',
  hostname: 'invalid_name',
  secrets: 'invalid_name',
  data: 'invalid_base64',
  permissions: 'invalid_permissions',
  uid: 'invalid_owner',
  gid: 'invalid_owner',
};

/** One problem for each issue, in the order of the fields. */
export function problemsOf(error: Pick<z.ZodError, 'issues'>): Problem[] {
  return error.issues.flatMap(problemsOfIssue);
}

function problemsOfIssue(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ code: 'invalid_request', message: unknownField(key) }));
  }
  const { code, hint } = (issue.code === 'custom' && issue.params) || {};
  if (typeof code === 'string' && isErrorCode(code)) {
    return [typeof hint === 'string' ? { code, message: issue.message, hint } : { code, message: issue.message }];
  }
  const [field, ...within] = issue.path;
  if (field === undefined) return [{ code: 'invalid_request', message: 'the body must be a JSON object' }];
  const place = String(field) + within.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return [{ code: FIELD_CODES[String(field)] ?? 'invalid_request', message: `${place} ${lowerFirst(issue.message)}` }];
}

/** A name that no field could have may be a value that a client put in the wrong place. */
const unknownField = (key: string): string => (/^[a-z_]{1,32}$/.test(key) ? `unknown field "${key}"` : 'unknown field');

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
