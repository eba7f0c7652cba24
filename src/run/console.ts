// The console of a VM in the foreground: what its guest writes goes to this process's stdout, what its VMM
// writes to stderr, and nothing to a file. The guest is not trusted: its text goes through `clean` before it
// reaches a terminal or a journal, and a reader that is too slow loses lines, so that neither the VM waits
// for it nor this process keeps them all.
import type { Readable } from 'node:stream';
import { withoutReturns, type VmConsole } from '../vm/console-log.ts';
import { LineFilter } from './line-filter.ts';

export interface ConsoleOutput {
  readonly stdout: NodeJS.WritableStream & { readonly writableLength: number };
  readonly stderr: NodeJS.WritableStream & { readonly writableLength: number };
  /** Makes text of a guest safe to show. Gets any number of lines, or a part of one. */
  readonly clean: (text: string) => string;
  readonly warn: (fact: string) => void;
}

/** What waits for a slow reader; beyond it text is dropped. */
const BACKLOG_MAX_BYTES = 1024 * 1024;
/** Carriage returns that wait for a line feed. */
const RETURNS_MAX = 4096;
/** What is kept of the end, for an error. */
const TAIL_MAX_LENGTH = 8 * 1024;

export interface ForegroundConsole extends VmConsole {
  /** From now on what the VMM says is not shown: it complains of its devices while all of it is being ended. */
  silenceVmm(): void;
  /** Resolves when all processes have closed their ends. */
  ended(): Promise<void>;
}

export function foregroundConsole({ stdout, stderr, clean, warn }: ConsoleOutput): ForegroundConsole {
  const ends: Promise<void>[] = [];
  let tail = '';
  let dropped = 0;
  let isSilent = false;

  const put = (target: ConsoleOutput['stdout'], text: string): void => {
    if (isSilent && target === stderr) return;
    tail = (tail + text).slice(-TAIL_MAX_LENGTH);
    if (target.writableLength > BACKLOG_MAX_BYTES) {
      dropped += text.length;
      return;
    }
    if (dropped > 0) warn(`${dropped} characters of the console were dropped: what reads it is too slow`);
    dropped = 0;
    target.write(clean(text));
  };

  const take = (source: Readable, target: ConsoleOutput['stdout'], filter: LineFilter | undefined): void => {
    // A byte order mark is a character like others: Node drops one, or not, by how the bytes around it come.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    // Consoles end their lines with CR LF: the one is not told from a lone CR before the other is there.
    let held = '';
    const pass = (text: string, isLast: boolean): void => {
      const whole = held + text;
      const withoutEnd = withoutReturns(whole);
      // A guest that writes nothing else is no console.
      held = isLast || whole.length - withoutEnd.length > RETURNS_MAX ? '' : whole.slice(withoutEnd.length);
      const shown = whole.slice(0, whole.length - held.length);
      if (shown !== '') put(target, shown);
    };
    source.on('data', (chunk: Buffer) => pass(filter === undefined ? decoder.decode(chunk, { stream: true }) : filter.take(chunk), false));
    ends.push(new Promise((resolve) => source.once('close', () => {
      pass(filter === undefined ? decoder.decode() : filter.end(), true);
      resolve();
    })));
    source.on('error', () => undefined);
  };

  return {
    targetsOf: () => ['pipe', 'pipe'],
    started: ({ filtersStderr }, out, err) => {
      take(out, stdout, undefined);
      take(err, stderr, filtersStderr ? new LineFilter() : undefined);
    },
    release: () => undefined,
    lastLines: async (count) => tail.split('\n').map(withoutReturns).filter((line) => line !== '').slice(-count),
    silenceVmm: () => {
      isSilent = true;
    },
    ended: async () => void await Promise.all(ends),
  };
}
