// Runs one command for the host and carries its streams as frames (src/wire/exec-frames.ts). The command
// gets a session of its own; when the connection ends before the command does, the whole session's
// process group gets SIGHUP, as from a terminal that went away.
import * as os from 'os';
import { encodeFrame, FRAME, FRAME_MAX_BYTES, FrameReader, type Frame, type FrameType } from '../src/wire/exec-frames.ts';
import type { ExecRequest } from '../src/wire/protocol.ts';
import { accountOf, SEARCH_PATH } from './accounts.ts';
import { Connection } from './connection.ts';
import type { Fault } from './fault.ts';
import type { Program, StartProgram } from './program.ts';
import { utf8Bytes } from './text.ts';

const SIGHUP = 1;
/** Exit codes of a shell (POSIX.1-2017, Shell Command Language, 2.8.2). */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/**
 * How long the connection stays after the exit frame for the host to end it, as it does when it has the frame.
 * Were it ended here, a host that writes at that moment could lose what it has not read.
 */
const LINGER_MS = 5_000;

/** Above this many bytes that the host has not taken, the command's output is not read any further. */
const BACKLOG_MAX_BYTES = 4 * FRAME_MAX_BYTES;

export interface ExecHandlers {
  readonly onData: (chunk: Uint8Array) => void;
  readonly onDrain: () => void;
  readonly onGone: () => void;
}

export function serveExec(request: ExecRequest, host: Connection, start: StartProgram): ExecHandlers {
  const send = (type: FrameType, payload: Uint8Array): void => host.write(encodeFrame(type, payload));
  const command = new Command(request, host, send, start);
  const frames = new FrameReader((frame) => command.take(frame));
  return { onData: (chunk) => frames.push(chunk), onDrain: () => command.resume(), onGone: () => command.hangUp() };
}

/** Environment of a command: the account's, then what the request adds or replaces. */
function environment(request: ExecRequest): { env: string[]; gid: number; groups: string[]; home: string } {
  const account = accountOf(request.uid, request.gid);
  const values = new Map<string, string>([
    ['HOME', account.home], ['PATH', SEARCH_PATH], ['USER', account.name], ['LOGNAME', account.name], ['SHELL', account.shell],
  ]);
  for (const assignment of request.env) {
    const split = assignment.indexOf('=');
    values.set(assignment.slice(0, split), assignment.slice(split + 1));
  }
  return {
    env: [...values].map(([name, value]) => `${name}=${value}`),
    gid: account.gid,
    groups: account.groups.map(String),
    home: account.home,
  };
}

class Command {
  readonly #host: Connection;
  #pid: number | undefined;
  /** What the host sent before the command had started. */
  #early: Frame[] = [];
  #isGone = false;
  #input: Connection | undefined;
  #outputs: Connection[] = [];
  #status: number | undefined;
  #exited = false;
  #linger: object | undefined;

  constructor(request: ExecRequest, host: Connection, send: (type: FrameType, payload: Uint8Array) => void, start: StartProgram) {
    const { env, gid, groups } = environment(request);
    this.#host = host;
    start({ argv: request.argv, env, cwd: request.cwd ?? '/', uid: request.uid, gid, groups, stdin: request.stdin }, {
      onStarted: (program) => this.#started(program, send),
      onFailed: (fault, pid) => this.#failed(fault, pid, send),
    });
    // Until it has started there is nothing to do with what the host sends.
    if (this.#pid === undefined && this.#status === undefined) host.pause();
  }

  #started({ pid, streams: [input, output, error], onceExited }: Program, send: (type: FrameType, payload: Uint8Array) => void): void {
    this.#pid = pid;
    send(FRAME.started, utf8Bytes(String(pid)));
    this.#outputs = [this.#forward(output, FRAME.stdout, send), this.#forward(error, FRAME.stderr, send)];
    // The command may close its stdin early: that is no fault.
    this.#input = input < 0 ? undefined : new Connection(input, false, {
      onData: () => undefined,
      onDrain: () => this.#host.resume(),
      onClose: () => this.#host.resume(),
    });
    this.#input?.pause();
    onceExited((status) => {
      this.#status = status;
      this.#finish(send);
    });
    this.#host.resume();
    for (const frame of this.#early.splice(0)) this.take(frame);
    if (this.#isGone) this.hangUp();
  }

  #failed({ code, message }: Fault, pid: number | undefined, send: (type: FrameType, payload: Uint8Array) => void): void {
    this.#status = code === 'ENOENT' ? NOT_FOUND : NOT_EXECUTABLE;
    this.#early = [];
    this.#host.resume();
    if (pid === undefined) return send(FRAME.failed, utf8Bytes(message));
    // As a shell, which starts a process and finds in it that there is no such program.
    send(FRAME.started, utf8Bytes(String(pid)));
    send(FRAME.stderr, utf8Bytes(`slicer-agent: ${message}\n`));
    send(FRAME.exit, utf8Bytes(String(this.#status)));
  }

  take(frame: Frame): void {
    if (this.#pid === undefined) {
      if (this.#status === undefined) this.#early.push({ ...frame, payload: frame.payload.slice() });
    } else if (frame.type === FRAME.stdin) {
      this.#input?.write(frame.payload);
      if ((this.#input?.backlog ?? 0) > BACKLOG_MAX_BYTES) this.#host.pause();
    } else if (frame.type === FRAME.stdinEnd) {
      this.#endInput();
    } else if (frame.type === FRAME.signal && this.#status === undefined) {
      os.kill(-this.#pid, frame.payload[0] as number);
    }
  }

  resume(): void {
    for (const output of this.#outputs) output.resume();
  }

  /** The outputs are read on, into nothing, so that a command that says goodbye does not die of SIGPIPE first. */
  hangUp(): void {
    this.#isGone = true;
    if (this.#linger !== undefined) os.clearTimeout(this.#linger);
    if (this.#status === undefined && this.#pid !== undefined) os.kill(-this.#pid, SIGHUP);
    this.#input?.close();
    for (const output of this.#outputs) output.resume();
  }

  #endInput(): void {
    this.#input?.end();
  }

  #forward(fd: number, type: FrameType, send: (type: FrameType, payload: Uint8Array) => void): Connection {
    const output: Connection = new Connection(fd, false, {
      onData: (chunk) => {
        if (this.#host.closed) return;
        for (let offset = 0; offset < chunk.byteLength; offset += FRAME_MAX_BYTES) {
          send(type, chunk.subarray(offset, offset + FRAME_MAX_BYTES));
        }
        if (this.#host.backlog > BACKLOG_MAX_BYTES) for (const each of this.#outputs) each.pause();
      },
      onClose: () => this.#finish(send),
    });
    return output;
  }

  /** The exit frame is the last one: after the exit and the end of both outputs. */
  #finish(send: (type: FrameType, payload: Uint8Array) => void): void {
    if (this.#status === undefined || this.#exited || this.#outputs.some((output) => !output.closed)) return;
    this.#exited = true;
    send(FRAME.exit, utf8Bytes(String(this.#status)));
    this.#linger = os.setTimeout(() => this.#host.close(), LINGER_MS);
  }
}
