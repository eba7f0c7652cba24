// The command `slicer`. Whatever happens, what the user sees is lines of facts and hints, and the exit
// code says which kind of failure it was; a stack is shown only with --debug.
import { CATALOGUE, EXIT } from '../errors/catalogue.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';
import { sayError } from './output.ts';
import { runProgram } from './program.ts';

// Streams are opened when they are used: each takes a while, and a pipe stays with its other reader.
const context: Context = {
  argv: process.argv.slice(2),
  env: process.env,
  get stdin() {
    return process.stdin;
  },
  get stdout() {
    return onceListened(process.stdout, lostOutput);
  },
  // What nobody reads stops nothing: whether it was done, the exit code says.
  get stderr() {
    return onceListened(process.stderr, () => undefined);
  },
  exitCode: 0,
};

function onceListened(stream: NodeJS.WriteStream, onError: (error: NodeJS.ErrnoException) => void): NodeJS.WriteStream {
  return stream.listenerCount('error') === 0 ? stream.on('error', onError) : stream;
}

/** A reader that has seen enough (`slicer vm logs web-1 | head`) is no error. A full disk is one. */
function lostOutput({ code }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE') process.exit(context.exitCode);
  sayError(context, fail('internal', `standard output can't be written (${code ?? 'unknown'})`));
  process.exit(EXIT.failed);
}

runProgram(context)
  .catch(report)
  .finally(() => {
    process.exitCode = context.exitCode;
  });

function report(error: unknown): void {
  const known = asSlicerError(error);
  context.exitCode = known === undefined ? 1 : CATALOGUE[known.code].exit;
  sayError(context, known ?? new SlicerError([{ code: 'internal', message: describe(error), hint: 'run it with --debug for more' }]));
  const words = context.argv.slice(0, context.argv.includes('--') ? context.argv.indexOf('--') : undefined);
  if (words.includes('--debug')) context.stderr.write(`${(error as Error).stack}\n`);
}

/** Each command is a bundle of its own with its own copy of the class, so `instanceof` would not do. */
function asSlicerError(error: unknown): SlicerError | undefined {
  // getcwd(2): somebody removed it.
  if ((error as NodeJS.ErrnoException | undefined)?.syscall === 'uv_cwd') return fail('not_found', 'the working directory is not there any more', 'cd to another one');
  return error instanceof Error && error.name === 'SlicerError' ? (error as SlicerError) : undefined;
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
