// How the agent starts programs for the host: by itself, or, where systemd confines it, through a service beside
// it that is not confined (commands.ts), so that what it starts is not either.
import * as os from 'os';
import * as sys from 'sys';
import { onceExited } from './children.ts';
import { Connection } from './connection.ts';
import { Fault, toFault } from './fault.ts';
import { jsonBytes, utf8Bytes, utf8Text } from './text.ts';

export interface ProgramRequest {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly string[];
  /** Whether it has a stdin that can be written to. */
  readonly stdin: boolean;
}

/** A program that runs, in a session of its own. */
export interface Program {
  readonly pid: number;
  /** This side of its stdin, -1 where it has none; of its stdout; of its stderr. */
  readonly streams: readonly [input: number, output: number, error: number];
  /** Calls `listener` once with its exit code, or 128 + the signal's number. */
  onceExited(listener: (status: number) => void): void;
}

export interface StartHandlers {
  readonly onStarted: (program: Program) => void;
  /** `pid`: of a process that could not become the program, where all else was well. */
  readonly onFailed: (fault: Fault, pid: number | undefined) => void;
}

/** Calls one handler once: at once, or later. */
export type StartProgram = (request: ProgramRequest, handlers: StartHandlers) => void;

export const startHere: StartProgram = ({ argv, env, cwd, uid, gid, groups, stdin }, { onStarted, onFailed }) => {
  let spawned: [number, number, number, number];
  try {
    spawned = sys.spawn(argv, env, cwd, uid, gid, groups, stdin);
  } catch (error) {
    return onFailed(toFault(error), (error as { pid?: number }).pid);
  }
  const [pid, ...streams] = spawned;
  onStarted({ pid, streams, onceExited: (listener) => onceExited(pid, listener) });
};

/** What the service answers, each in a line. */
export type CommandAnswer =
  | { readonly pid: number }
  | { readonly failed: { readonly code: string; readonly message: string; readonly pid: number | undefined } }
  | { readonly status: number };

const SIGHUP = 1;
const PID_MAX = 2 ** 31 - 1;
const STATUS_MAX = 255;

const isWhole = (value: unknown, min: number, max: number): value is number => Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** Throws for what the service never says. A pid is signalled, and 0, 1 and what is negative would be others. */
function answerIn(line: string): CommandAnswer {
  const { pid, failed, status } = (JSON.parse(line) ?? {}) as { pid?: unknown; failed?: { code?: unknown; message?: unknown; pid?: unknown } | null; status?: unknown };
  if (isWhole(pid, 2, PID_MAX)) return { pid };
  if (isWhole(status, 0, STATUS_MAX)) return { status };
  if (typeof failed?.code === 'string' && typeof failed.message === 'string') {
    return { failed: { code: failed.code, message: failed.message, pid: isWhole(failed.pid, 2, PID_MAX) ? failed.pid : undefined } };
  }
  throw new Fault('protocol', 'the service that starts programs gave no answer');
}

/** `path`: the service's socket. */
export function startThrough(path: string): StartProgram {
  return ({ stdin, ...request }, { onStarted, onFailed }) => {
    let ends: readonly number[] = [];
    let isSettled = false;
    let hasEnded = false;
    let pid: number | undefined;
    let onExit: ((status: number) => void) | undefined;
    const fail = (fault: Fault, pid?: number): void => {
      if (isSettled) return;
      isSettled = true;
      close(ends.slice(3));
      onFailed(fault, pid);
    };
    const take = (answer: CommandAnswer): void => {
      if ('pid' in answer) {
        if (isSettled) throw new Fault('protocol', 'the service that starts programs answered twice');
        isSettled = true;
        pid = answer.pid;
        const [input = -1, output = -1, error = -1] = ends.slice(3);
        onStarted({ pid, streams: [input, output, error], onceExited: (listener) => (onExit = listener) });
      } else if ('failed' in answer) {
        fail(new Fault(answer.failed.code, answer.failed.message), answer.failed.pid);
      } else if (pid !== undefined && !hasEnded) {
        hasEnded = true;
        onExit?.(answer.status);
      }
    };
    try {
      ends = sys.pipes(stdin);
      const bytes = jsonBytes({ ...request, stdin });
      const fd = sys.unixConnect(path);
      const sent = sys.sendDescriptors(fd, bytes, ends.slice(0, 3).filter((end) => end >= 0));
      let line = '';
      const connection = new Connection(fd, false, {
        onData: (chunk) => {
          const lines = (line + utf8Text(chunk)).split('\n');
          line = lines.pop() as string;
          for (const answer of lines) take(answerIn(answer));
        },
        onClose: (fault) => {
          fail(fault ?? new Fault('closed', 'the service that starts programs has ended'));
          if (hasEnded || pid === undefined) return;
          // Nobody will tell of its end: it gets what it would from a terminal that went away.
          os.kill(-pid, SIGHUP);
          onExit?.(128 + SIGHUP);
        },
      });
      if (sent < 0) return connection.close(new Fault('EAGAIN', 'the service that starts programs takes no more'));
      connection.write(bytes.subarray(sent));
      connection.write(utf8Bytes('\n'));
    } catch (error) {
      fail(toFault(error));
    } finally {
      close(ends.slice(0, 3));
    }
  };
}

function close(ends: readonly number[]): void {
  for (const end of ends) if (end >= 0) sys.close(end);
}
