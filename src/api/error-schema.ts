// The schema of ErrorBody (error-body.ts), and the error answers of a route.
import { z } from '@hono/zod-openapi';
import { CATALOGUE, type ErrorCode } from '../errors/catalogue.ts';

const code = z.enum(Object.keys(CATALOGUE) as [ErrorCode, ...ErrorCode[]]).openapi('ErrorCode');

export const errorBody = z
  .object({
    error: z.string(),
    code,
    hint: z.string().optional(),
    problems: z
      .array(z.object({ code, message: z.string(), hint: z.string().optional() }))
      .optional()
      .openapi({ description: 'Every problem, where there is more than one' }),
  })
  .openapi('Error');

type Status<Code extends ErrorCode> = (typeof CATALOGUE)[Code]['status'];

interface ErrorAnswer {
  description: string;
  content: { 'application/json': { schema: typeof errorBody } };
}

/** The answers for these codes, by HTTP status; the description lists the codes. */
export function errorAnswers<const Code extends ErrorCode>(...codes: Code[]): Record<Status<Code>, ErrorAnswer> {
  const answers: Record<number, ErrorAnswer> = {};
  for (const name of codes) {
    const known = answers[CATALOGUE[name].status];
    answers[CATALOGUE[name].status] = {
      description: known === undefined ? name : `${known.description}, ${name}`,
      content: { 'application/json': { schema: errorBody } },
    };
  }
  return answers as Record<Status<Code>, ErrorAnswer>;
}
