// A Nix file as plain data. Nix evaluates it against an empty store that is nowhere (`dummy://`), so that
// nothing of it, and no file that it names, is copied to where everybody may read it. What is reported when
// Nix refuses is its own message with place, without the source that it quotes and without values.
import { execFile, type ExecFileException } from 'node:child_process';
import { fail, type SlicerError } from '../errors/slicer-error.ts';

/** Long for a file of settings, and short for one who waits. */
const LIMIT_MS = 60_000;
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
const MESSAGE_MAX_LENGTH = 500;

/** A function is called with an empty `inputs` where it names that argument, or with an empty set. */
const EXPRESSION = '{ file }: let value = import file; in if builtins.isFunction value'
  + ' then value (builtins.intersectAttrs (builtins.functionArgs value) { inputs = { }; }) else value';

export interface NixSource {
  /** How problems name it. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How long it may take. */
  readonly limitMs?: number;
}

/** Throws missing_part without nix-instantiate on the PATH, and invalid_config for what does not evaluate to data. */
export function evaluateNix({ file, path, env, limitMs = LIMIT_MS }: NixSource): Promise<unknown> {
  const argv = ['--store', 'dummy://', '--eval', '--strict', '--json', '--expr', EXPRESSION, '--argstr', 'file', path];
  const options = { env: { ...env, NO_COLOR: '1' }, timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_MAX_BYTES } as const;
  return new Promise((resolve, reject) => {
    const child = execFile('nix-instantiate', argv, options, (error, stdout, stderr) => {
      if (error !== null) return reject(failure(error, stderr, { file, path, limitMs }));
      try {
        resolve(nixData(stdout, file));
      } catch (damaged) {
        reject(damaged as Error);
      }
    });
    child.stdin?.on('error', () => undefined).end();
  });
}

/** What Nix printed, as data. Throws invalid_config, without a word of it. */
export function nixData(stdout: string, file: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    throw fail('invalid_config', `${file}: nix printed ${stdout.length} characters that are no JSON`);
  }
}

function failure(error: ExecFileException, stderr: string, { file, path, limitMs }: Omit<NixSource, 'env'>): SlicerError {
  if (error.code === 'ENOENT') {
    return fail('missing_part', `${file} is Nix, and there is no nix-instantiate on the PATH`, 'apt-get install nix-bin, or write it as YAML or JSON');
  }
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return fail('invalid_config', `${file}: evaluates to more than ${OUTPUT_MAX_BYTES} bytes`);
  if (error.killed === true) return fail('invalid_config', `${file}: does not evaluate within ${limitMs} ms`);
  const { message, place = '' } = nixComplaint(stderr);
  return fail('invalid_config', `${place.replace(path, file).replace(/^(?!$)(.*)$/, '$1: ') || `${file}: `}nix: ${message}`);
}

/** What Nix says is wrong, without values, and where: `PATH:LINE:COLUMN`. */
export function nixComplaint(stderr: string): { message: string; place?: string } {
  const lines = stderr.replace(/\x1b\[[0-9;]*m/g, '').split('\n');
  // The innermost comes last; what evaluated it is before it.
  const last = lines.findLastIndex((line) => /^\s*error: ?\S/.test(line));
  if (last === -1) return { message: 'it does not evaluate' };
  const place = [...lines.slice(last), ...lines.slice(0, last).reverse()]
    .map((line) => /^\s*at (\/.*:\d+:\d+):$/.exec(line)?.[1]).find((found) => found !== undefined);
  const message = withoutValues((lines[last] as string).replace(/^\s*error: ?/, '')).slice(0, MESSAGE_MAX_LENGTH);
  return place === undefined ? { message } : { message, place };
}

/** Nix shows texts in double quotes, what it found after a colon, and of an assertion the source or both values. */
function withoutValues(message: string): string {
  if (/^assertion '| is not equal to /.test(message)) return 'an assertion failed';
  return message
    .replace(/"(?:[^"\\]|\\.)*("|$)/g, '"…"')
    .replace(/(\b(?:an?|the) (?:set|list|string|integer|float|path|boolean|function|lambda|thunk)\b[^:]*): .*$/i, '$1')
    .replace(/; last read: .*$/, '');
}
