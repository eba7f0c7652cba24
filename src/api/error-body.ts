// The JSON body of every error answer, and the way from and to `SlicerError`. No schema library here:
// the client needs this on its fast path.
import { type ErrorCode, isErrorCode } from '../errors/catalogue.ts';
import { type Problem, SlicerError } from '../errors/slicer-error.ts';

export interface ErrorBody {
  /** All facts, joined by `; `. */
  readonly error: string;
  /** The first problem's code; it decides the HTTP status. */
  readonly code: ErrorCode;
  /** The first problem's hint. */
  readonly hint?: string;
  /** Every problem, where there is more than one. */
  readonly problems?: readonly Problem[];
}

export function toErrorBody(error: SlicerError): ErrorBody {
  const [first] = error.problems;
  return {
    error: error.message,
    code: first.code,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    ...(error.problems.length > 1 ? { problems: error.problems } : {}),
  };
}

/** The error that a body tells of, or undefined when it is no such body or its code is not known here. */
export function fromErrorBody(body: unknown): SlicerError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { error, code, hint, problems } = body as Record<string, unknown>;
  const several = Array.isArray(problems) ? problems.map(problemFrom) : [];
  const [first, ...rest] = several;
  if (first !== undefined && several.every((problem) => problem !== undefined)) {
    return new SlicerError([first, ...(rest as Problem[])]);
  }
  const only = problemFrom({ code, message: error, hint });
  return only === undefined ? undefined : new SlicerError([only]);
}

function problemFrom(value: unknown): Problem | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, hint } = value as Record<string, unknown>;
  if (typeof code !== 'string' || !isErrorCode(code) || typeof message !== 'string') return undefined;
  return typeof hint === 'string' ? { code, message, hint } : { code, message };
}
