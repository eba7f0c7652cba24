// The answer of an exec request: JSON lines turned into events with exact bytes.
import type { IncomingMessage } from 'node:http';
import { decodeBase64 } from '../api/base64.ts';
import { isErrorCode } from '../errors/catalogue.ts';
import { fail } from '../errors/slicer-error.ts';
import { jsonLines } from './json-lines.ts';

export type ExecEvent =
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly data: Uint8Array }
  /** Last. The command's exit code, 128 + the number for a signal. */
  | { readonly type: 'exit'; readonly exitCode: number };

/** A line carries at most one frame of 64 KiB in base64. */
const LINE_MAX_CHARACTERS = 256 * 1024;

/** Ends after `exit`; throws when the stream ends without it. */
export async function* execEvents(response: IncomingMessage): AsyncGenerator<ExecEvent> {
  for await (const frame of jsonLines(response, LINE_MAX_CHARACTERS, { lost, unexpected })) {
    const event = eventOf(frame);
    yield event;
    if (event.type === 'exit') return;
  }
  throw lost();
}

function eventOf(frame: unknown): ExecEvent {
  if (typeof frame !== 'object' || frame === null) throw unexpected();
  const fields = frame as Record<string, unknown>;
  const { type, pid, exit_code: exitCode, encoding, error, code } = fields;
  if (type === 'started' && typeof pid === 'number') return { type, pid };
  if (type === 'exit' && typeof exitCode === 'number') return { type, exitCode };
  if (type === 'stdout' || type === 'stderr') {
    const text = fields[type];
    const data = typeof text !== 'string' ? undefined : encoding === 'base64' ? decodeBase64(text) : Buffer.from(text);
    if (data !== undefined) return { type, data };
  }
  if (type === 'error' && typeof error === 'string') {
    throw fail(typeof code === 'string' && isErrorCode(code) ? code : 'exec_failed', error);
  }
  throw unexpected();
}

const lost = () => fail('agent_unreachable', 'the connection ended before the command did: whether it runs on is not known');
const unexpected = () => fail('internal', 'the daemon sent an exec frame that this version of slicer does not know', 'compare versions with: slicer info');
