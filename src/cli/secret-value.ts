// Where a secret's value comes from: a flag, standard input or a hidden prompt. Bytes are taken as they
// are, a newline at the end included.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { SECRET_MAX_BYTES } from '../secret/secret.ts';
import type { Context } from './context.ts';
import { warn } from './output.ts';
import { askLine } from './prompt.ts';

export interface ValueFlags {
  readonly fromLiteral?: string;
  readonly fromFile?: string;
}

export function addValueOptions(command: Command): Command {
  return command
    .option('--from-literal <value>', 'the value itself; ps and the shell\'s history see it here')
    .option('--from-file <path>', 'a file whose bytes are the value; - for standard input');
}

/** Undefined when no flag names a value. */
export async function valueFromFlags({ fromLiteral, fromFile }: ValueFlags, context: Context): Promise<Buffer | undefined> {
  if (fromLiteral !== undefined && fromFile !== undefined) {
    throw fail('usage', '--from-literal and --from-file exclude each other');
  }
  if (fromLiteral !== undefined) {
    warn(context, 'ps and the shell\'s history see a value given with --from-literal; --from-file and standard input keep it from them');
    return checkSize(Buffer.from(fromLiteral), '--from-literal');
  }
  if (fromFile === undefined) return undefined;
  return fromFile === '-' ? valueFromStdin(context) : readFile(fromFile);
}

export function valueFromStdin(context: Context): Promise<Buffer> {
  return readBounded(context.stdin, 'standard input');
}

/** Asks at the terminal for one line, and shows nothing of it. */
export async function valueFromPrompt(name: string, context: Context): Promise<Buffer> {
  const value = await askLine({ text: `Value of secret ${name} (one line, not shown): `, hidden: true }, context);
  return checkSize(Buffer.from(value), 'the prompt');
}

async function readFile(path: string): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > SECRET_MAX_BYTES) throw tooLarge(`"${path}" is ${size} bytes`);
    return await readBounded(createReadStream(path), `"${path}"`);
  } catch (error) {
    if ((error as Error).name === 'SlicerError') throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw fail(code === 'ENOENT' ? 'not_found' : 'usage', `cannot read "${path}": ${REASONS[code ?? ''] ?? code}`);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not',
  EISDIR: 'it is a directory',
};

async function readBounded(stream: AsyncIterable<unknown>, source: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).byteLength;
    if (size > SECRET_MAX_BYTES) throw tooLarge(`${source} has more than ${SECRET_MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks);
}

function checkSize(value: Buffer, source: string): Buffer {
  if (value.byteLength > SECRET_MAX_BYTES) throw tooLarge(`${source} has ${value.byteLength} bytes`);
  return value;
}

const tooLarge = (fact: string): SlicerError => fail('value_too_large', `${fact}; a value has at most ${SECRET_MAX_BYTES}`);
