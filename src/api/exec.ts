// Commands in a guest. The request is all query, so that the body can be the command's stdin; the answer
// is a stream of JSON lines, or one object when the output is asked for in one piece.
import { z } from '@hono/zod-openapi';
import { flag, idText, must, repeated, timestamp } from './fields.ts';

const noNul = (text: string): boolean => !text.includes('\0');

const WORD_RULE = 'text without NUL';
const ENV_RULE = 'NAME=VALUE, without NUL';
const words = repeated.refine((list) => list.every(noNul), { error: `must be ${WORD_RULE}` });

export const execQuery = z
  .strictObject({
    cmd: z.string(must('a command')).min(1, must('a command')).refine(noNul, must(WORD_RULE)).openapi({
      description: 'The program; looked up in PATH when it has no slash',
    }),
    args: words.openapi({ description: 'Its arguments, in order' }),
    uid: idText.optional().openapi({ description: '0 when absent' }),
    gid: idText.optional().openapi({ description: "The user's primary group when absent" }),
    cwd: z.string().refine(noNul, must(WORD_RULE)).optional(),
    env: repeated
      .refine((list) => list.every((entry) => noNul(entry) && entry.indexOf('=') > 0), { error: `must be ${ENV_RULE}` })
      .openapi({ description: 'NAME=VALUE' }),
    shell: z.string().refine(noNul, must(WORD_RULE)).optional().openapi({
      description: 'A shell that runs cmd and args, joined by spaces, with -c',
      example: '/bin/sh',
    }),
    stdin: flag.optional().openapi({ description: "Whether the request's body is the command's stdin; /dev/null otherwise" }),
    buffered: flag.optional().openapi({ description: 'Answer with one object when the command has ended' }),
    stdio: z.enum(['text', 'base64'], must('text or base64')).optional().openapi({
      description: 'How stdout and stderr are written: as UTF-8 with replacement characters (when absent), or exactly',
    }),
  })
  .transform(({ cmd, args, uid, gid, cwd, env, shell, stdin, buffered, stdio }) => ({
    argv: shell === undefined || shell === '' ? [cmd, ...args] : [shell, '-c', [cmd, ...args].join(' ')],
    uid: uid ?? 0,
    ...(gid === undefined ? {} : { gid }),
    ...(cwd === undefined || cwd === '' ? {} : { cwd }),
    env,
    stdin: stdin ?? false,
    buffered: buffered ?? false,
    stdio: stdio ?? ('text' as const),
  }));

const encoding = z.literal('base64').optional().openapi({ description: 'Present when stdout and stderr are base64' });
const exitCode = z.int().openapi({ description: "The command's exit code, 128 + the number for a signal" });

export const execFrame = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('started'), timestamp, pid: z.int() }),
    z.object({ type: z.literal('stdout'), timestamp, stdout: z.string(), encoding }),
    z.object({ type: z.literal('stderr'), timestamp, stderr: z.string(), encoding }),
    z.object({ type: z.literal('exit'), timestamp, exit_code: exitCode }),
    z.object({ type: z.literal('error'), timestamp, error: z.string(), code: z.string() }),
  ])
  .openapi('ExecFrame', { description: 'One line of the answer. The last is exit, or error when the VM was lost' });
export type ExecFrame = z.infer<typeof execFrame>;

export const execResult = z
  .object({ stdout: z.string(), stderr: z.string(), exit_code: exitCode, encoding })
  .openapi('ExecResult');
export type ExecResult = z.infer<typeof execResult>;
