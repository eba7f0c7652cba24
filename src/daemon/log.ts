// The daemon's log: JSON lines on stderr. What is logged is chosen field by field, so that no body, no
// query and no text of a foreign error can bring a value into it.
import { writeSync } from 'node:fs';
import { pino, type Logger } from 'pino';
import { SlicerError } from '../errors/slicer-error.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>;

/** Level: `SLICER_LOG_LEVEL`, `info` unless set to a level that pino knows. */
export function openLog(level: string | undefined): Log {
  const known = level !== undefined && Object.hasOwn(pino.levels.values, level) ? level : 'info';
  return pino({ level: known, base: null, timestamp: pino.stdTimeFunctions.isoTime }, logStream((bytes) => writeSync(2, bytes)));
}

/**
 * Lines as they are logged, at once, so that the last ones before a crash are there. A line that can't be
 * written (a full disk, a pipe that is full or that nobody reads) is lost: it ends nothing, is not kept, and
 * is counted in a line before the next that can be. `write` returns how many bytes it took, or throws.
 */
export function logStream(write: (bytes: Uint8Array) => number): { write(line: string): void } {
  let lost = 0;
  let isWithinLine = false;

  const put = (line: string): void => {
    let rest: Uint8Array = Buffer.from(isWithinLine ? `\n${line}` : line);
    while (rest.length > 0) {
      const taken = write(rest);
      if (taken === 0) throw new Error('nothing was taken');
      isWithinLine = taken < rest.length;
      rest = rest.subarray(taken);
    }
  };

  return {
    write: (line) => {
      try {
        if (lost > 0) put(`${JSON.stringify({ level: pino.levels.values['warn'], time: new Date().toISOString(), lines: lost, msg: 'lines of this log could not be written' })}\n`);
        lost = 0;
        put(line);
      } catch {
        lost += 1;
      }
    },
  };
}

/** What may be logged of an error: of our own the text, of others the kind and the place alone. */
export function errorFields(error: unknown): object {
  if (error instanceof SlicerError) return { code: error.code, error: error.message };
  if (!(error instanceof Error)) return { error: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line)).map((line) => line.trim());
  return { error: error.name, ...(code === undefined ? {} : { code }), frames };
}
