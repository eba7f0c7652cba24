// The frames of a command, parsed once into what they say. They come from a guest.
import { StringDecoder } from 'node:string_decoder';
import { encodeBase64 } from '../api/base64.ts';
import { fail } from '../errors/slicer-error.ts';
import { agentProtocol } from '../live/agent-dial.ts';
import type { ExecSession } from '../live/contract.ts';
import { guestText } from '../live/guest-text.ts';
import { FRAME } from '../wire/exec-frames.ts';

/** How output is written: as UTF-8 with replacement characters, or exactly. */
export type Stdio = 'text' | 'base64';

export type ExecEvent =
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly data: Uint8Array }
  | { readonly type: 'exit'; readonly exitCode: number };

const REASON_MAX_LENGTH = 300;
const EXIT_CODE_MAX = 255;

/**
 * The events of a command: `started`, output, `exit`. Throws exec_failed when it could not be started,
 * agent_unreachable when the guest is lost, agent_protocol.
 */
export async function* execEvents(session: ExecSession): AsyncGenerator<ExecEvent> {
  let hasStarted = false;
  for await (const { type, payload } of session.frames) {
    if (type === FRAME.failed) {
      const reason = guestText(Buffer.from(payload).toString(), REASON_MAX_LENGTH);
      throw fail('exec_failed', `the command could not be started: ${reason}`);
    }
    if ((type === FRAME.started) === hasStarted) throw agentProtocol('expected one started frame, first');
    hasStarted = true;
    if (type === FRAME.started) yield { type: 'started', pid: decimal(payload, Number.MAX_SAFE_INTEGER) };
    else if (type === FRAME.stdout) yield { type: 'stdout', data: payload };
    else if (type === FRAME.stderr) yield { type: 'stderr', data: payload };
    else if (type === FRAME.exit) yield { type: 'exit', exitCode: decimal(payload, EXIT_CODE_MAX) };
  }
}

/** The fields of an output line. Text keeps a character whole that was cut between two frames. */
export function outputText(stdio: Stdio): (type: 'stdout' | 'stderr', data: Uint8Array) => object {
  if (stdio === 'base64') return (type, data) => ({ [type]: encodeBase64(data), encoding: 'base64' });
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  return (type, data) => ({ [type]: decoders[type].write(Buffer.from(data)) });
}

function decimal(payload: Uint8Array, max: number): number {
  const text = Buffer.from(payload).toString('latin1');
  const number = Number(text);
  if (!/^[0-9]{1,16}$/.test(text) || number > max) throw agentProtocol('expected a decimal number in a frame');
  return number;
}
