// The one error type that crosses module boundaries. It holds every problem of an input at once,
// each a fact and, where there is one, the next command. Texts never hold a secret's value.
import { CATALOGUE, type ErrorCode } from './catalogue.ts';

export interface Problem {
  readonly code: ErrorCode;
  /** The fact: lower case, names the thing, the limit and the actual; no full stop. */
  readonly message: string;
  /** The next command or step, if one is known. */
  readonly hint?: string;
}

export class SlicerError extends Error {
  readonly problems: readonly [Problem, ...Problem[]];

  constructor(problems: readonly [Problem, ...Problem[]]) {
    super(problems.map((problem) => problem.message).join('; '));
    this.name = 'SlicerError';
    this.problems = problems;
  }

  get code(): ErrorCode {
    return this.problems[0].code;
  }

  get status(): number {
    return CATALOGUE[this.code].status;
  }

  get exitCode(): number {
    return CATALOGUE[this.code].exit;
  }
}

/** An error with one problem. */
export function fail(code: ErrorCode, message: string, hint?: string): SlicerError {
  return new SlicerError([hint === undefined ? { code, message } : { code, message, hint }]);
}

/** An error with all of them; throws none for an empty list, so a validator can end with it. */
export function throwIfAny(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first !== undefined) throw new SlicerError([first, ...rest]);
}

/** The lines that the CLI prints for an error: one `error:` line a problem, each with its hint below. */
export function errorLines(error: SlicerError): string[] {
  return error.problems.flatMap((problem) => [
    `slicer: error: ${problem.message}`,
    ...(problem.hint === undefined ? [] : [`slicer: hint: ${problem.hint}`]),
  ]);
}
