// An answer of JSON lines, read one object at a time, with bounded memory.
import type { IncomingMessage } from 'node:http';
import type { SlicerError } from '../errors/slicer-error.ts';

export interface JsonLinesFaults {
  /** The connection ended before the answer did. */
  readonly lost: () => SlicerError;
  /** A line is too long, or is no JSON. */
  readonly unexpected: () => SlicerError;
}

/**
 * Each line parsed, blank ones passed over. Throws what `faults` says; an error that the reader of the lines
 * throws is theirs. The connection is closed at the end, whoever ends it.
 */
export async function* jsonLines(response: IncomingMessage, lineMaxCharacters: number, faults: JsonLinesFaults): AsyncGenerator<unknown> {
  try {
    let rest = '';
    for await (const chunk of chunksOf(response, faults)) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() as string;
      if (rest.length > lineMaxCharacters) throw faults.unexpected();
      for (const line of lines) if (line !== '') yield parsed(line, faults);
    }
    if (rest !== '') throw faults.lost();
  } finally {
    response.destroy();
  }
}

async function* chunksOf(response: IncomingMessage, faults: JsonLinesFaults): AsyncGenerator<string> {
  try {
    yield* response.setEncoding('utf8') as AsyncIterable<string>;
  } catch {
    throw faults.lost();
  }
}

function parsed(line: string, faults: JsonLinesFaults): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw faults.unexpected();
  }
}
