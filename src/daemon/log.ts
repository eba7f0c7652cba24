// The daemon's log: JSON lines on stderr. What is logged is chosen field by field, so that no body, no
// query and no text of a foreign error can bring a value into it.
import { destination, pino, type Logger } from 'pino';
import { SlicerError } from '../errors/slicer-error.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>;

/** Level: `SLICER_LOG_LEVEL`, `info` unless set to a level that pino knows. */
export function openLog(level: string | undefined): Log {
  const known = level !== undefined && Object.hasOwn(pino.levels.values, level) ? level : 'info';
  // Synchronous, so that the last lines before a crash are there.
  return pino({ level: known, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ dest: 2, sync: true }));
}

/** What may be logged of an error: of our own the text, of others the kind and the place alone. */
export function errorFields(error: unknown): object {
  if (error instanceof SlicerError) return { code: error.code, error: error.message };
  if (!(error instanceof Error)) return { error: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line)).map((line) => line.trim());
  return { error: error.name, ...(code === undefined ? {} : { code }), frames };
}
