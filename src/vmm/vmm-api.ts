// One request to a VMM's REST API: HTTP/1.1 with JSON over its Unix socket, on a connection of its own.
// What is sent may hold values, and a VMM's answer may quote what it was sent: no error of this file has
// the request's body, and of the answer only what `printable` leaves. The VMM is not trusted further
// than to run its VM: its answer is bounded, and what is no answer ends the request.
import { request, type IncomingMessage } from 'node:http';
import { fail } from '../errors/slicer-error.ts';
import { atOwnedSocket } from '../socket/owned-socket.ts';
import type { VmSockets } from './contract.ts';

/** Where a VMM takes requests, and whose socket it must be. */
export type ApiSocket = Pick<VmSockets, 'control' | 'owner'>;

/** MAX_PAYLOAD_SIZE of the micro_http crate, which Cloud Hypervisor (through v53) and Firecracker serve their APIs with. */
export const REQUEST_MAX_BYTES = 51_200;

/** What is read of an answer. */
export const ANSWER_MAX_BYTES = 64 * 1024;
const QUOTE_MAX_CHARACTERS = 200;
const REDACTED = '[redacted]';

export type VmmMethod = 'GET' | 'PUT' | 'PATCH';

/**
 * The JSON of a 2xx answer, undefined where it has none. Throws launch_failed for any other answer, for half
 * a one, none, and one that is no HTTP or no JSON, and before sending for a body of more than 51,200 bytes;
 * `signal`'s reason when it aborts. There is no other time limit.
 */
export async function vmmRequest(
  socket: ApiSocket,
  method: VmmMethod,
  path: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  signal.throwIfAborted();
  const what = `${method} ${path}`;
  const bytes = body === undefined ? undefined : encodeBody(what, body);
  try {
    const answer = await send(socket, method, path, bytes, signal);
    return takeAnswer(what, answer.statusCode as number, await readAnswer(answer, what));
  } catch (error) {
    signal.throwIfAborted();
    throw withoutPayload(error as Error, what);
  }
}

/** The JSON that a request sends. `what`: method and path. Throws launch_failed for more than 51,200 bytes. */
export function encodeBody(what: string, body: object): Buffer {
  const bytes = Buffer.from(JSON.stringify(body));
  if (bytes.length <= REQUEST_MAX_BYTES) return bytes;
  throw fail('launch_failed', `the body of ${what} is ${bytes.length} bytes; the VMM takes ${REQUEST_MAX_BYTES}`);
}

/** What a whole answer says: its JSON, undefined where it has none. Throws launch_failed unless it is a 2xx one. */
export function takeAnswer(what: string, status: number, text: string): unknown {
  if (status < 200 || status > 299) {
    const said = printable(text);
    throw fail('launch_failed', `the VMM answered ${what} with status ${status}${said === '' ? '' : `: ${said}`}`);
  }
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // A parser's message quotes what it could not parse.
    throw fail('launch_failed', `the VMM answered ${what} with ${text.length} characters that are no JSON`);
  }
}

/** A VMM's text in one line of printable ASCII, at most 200 characters, without what may be a value. */
export function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    // The form without base64 may have any characters, so to the end.
    .replace(/io\.systemd\.credential.*/i, REDACTED)
    .replace(/[A-Za-z0-9+/_-]{32,}={0,2}/g, REDACTED)
    .slice(0, QUOTE_MAX_CHARACTERS)
    .trim();
}

function send(
  { control, owner }: ApiSocket,
  method: VmmMethod,
  path: string,
  bytes: Buffer | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = {
      Host: 'localhost',
      Accept: 'application/json',
      ...(bytes !== undefined && { 'Content-Type': 'application/json' }),
      // Never chunked, which micro_http does not read.
      ...(method !== 'GET' && { 'Content-Length': String(bytes?.length ?? 0) }),
    };
    atOwnedSocket(control, owner, (socketPath) => request({ socketPath, method, path, headers, agent: false, signal }))
      .on('response', resolve)
      .on('error', reject)
      // An answer that switches protocols (101) is none to Node: it ends the connection, and says nothing else.
      .on('close', () => reject(Object.assign(new Error(), { code: 'ECONNRESET' })))
      .end(bytes);
  });
}

async function readAnswer(answer: IncomingMessage, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > ANSWER_MAX_BYTES) {
      throw fail('launch_failed', `the VMM answered ${what} with more than ${ANSWER_MAX_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Node's errors quote paths, and those of its HTTP parser hold the bytes that it read. */
function withoutPayload(error: Error & { code?: string }, what: string): Error {
  if (error.name === 'SlicerError') return error;
  const code = error.code ?? 'unknown error';
  if (code.startsWith('HPE_')) return fail('launch_failed', `the VMM's answer to ${what} is no HTTP (${code})`);
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return fail('launch_failed', `the VMM closed its API socket before it had answered ${what}`);
  }
  return fail('launch_failed', `the VMM's API socket could not be asked for ${what}: ${code}`);
}
