// One request on one connection. Errors come back as the SlicerError that the daemon threw.
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { fromErrorBody } from '../api/error-body.ts';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { formatAddress } from './address.ts';
import { dial } from './dial.ts';
import type { Connection } from './discovery.ts';

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface RequestOptions {
  readonly query?: Query;
  readonly json?: unknown;
  /** Streamed as the body while the answer already comes. */
  readonly body?: AsyncIterable<Uint8Array>;
  /** How long the daemon may take until its answer begins. */
  readonly answerTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a request that waits for nothing may take. */
export const ANSWER_TIMEOUT_MS = 30_000;

/** Longest JSON answer that is read: 1,000 secrets take about 200 KB, a console log at most a few MB. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** `check` says whether the answer has the shape that this version expects. */
export async function requestJson<T>(
  connection: Connection,
  method: string,
  path: string,
  check: (value: unknown) => value is T,
  options: RequestOptions = {},
): Promise<T> {
  const response = await send(connection, method, path, options);
  const value = parse(await readText(response));
  if (check(value)) return value;
  throw fail('internal', `the answer to ${method} ${path} is not what this version of slicer expects`, 'check the URL, and compare with: slicer info');
}

/** Resolves with an answer of status 2xx, its body unread; throws for any other. */
export async function send(
  connection: Connection,
  method: string,
  path: string,
  { query, json, body, answerTimeoutMs = ANSWER_TIMEOUT_MS, signal }: RequestOptions,
): Promise<IncomingMessage> {
  const { socket, address } = await dial(connection.addresses, signal);
  const headers: OutgoingHttpHeaders = {
    accept: 'application/json',
    'user-agent': 'slicer',
    // A daemon that closed after its answer would cut off the rest of the body, and with it (EPIPE) the answer.
    connection: body === undefined ? 'close' : 'keep-alive',
  };
  if (address.kind === 'tcp') headers['host'] = new URL(formatAddress(address)).host;
  if (connection.token !== undefined) headers['authorization'] = `Bearer ${connection.token}`;
  const payload = json === undefined ? undefined : JSON.stringify(json);
  if (payload !== undefined) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = Buffer.byteLength(payload);
  } else if (body !== undefined) headers['content-type'] = 'application/octet-stream';

  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const basePath = address.kind === 'tcp' ? address.basePath : '';
    const request = httpRequest({
      createConnection: () => socket,
      method,
      path: basePath + path + queryString(query),
      headers,
      ...(signal === undefined ? {} : { signal }),
    });
    const timer = setTimeout(() => {
      request.destroy(fail('daemon_unreachable', `${formatAddress(address)} did not answer within ${answerTimeoutMs / 1000}s`));
    }, answerTimeoutMs);
    request.once('response', (incoming) => {
      clearTimeout(timer);
      incoming.once('close', () => socket.destroy());
      resolve(incoming);
    });
    // Stays attached: a body that can no longer be sent is no error once the answer is there.
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(signal?.aborted ? signal.reason : connectionLost(error, formatAddress(address)));
    });
    if (body === undefined) request.end(payload);
    else {
      // The daemon is to answer before the first byte of the body is there, which may be never.
      request.flushHeaders();
      void pump(body, request);
    }
  });
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  const error = errorOf(status, parse(await readText(response)), `${method} ${path}`);
  response.destroy();
  throw error;
}

async function pump(body: AsyncIterable<Uint8Array>, request: ReturnType<typeof httpRequest>): Promise<void> {
  try {
    for await (const chunk of body) {
      if (request.destroyed) return;
      if (!request.write(chunk)) await drained(request);
    }
    request.end();
  } catch (error) {
    request.destroy(error as Error);
  }
}

function drained(request: ReturnType<typeof httpRequest>): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      request.off('drain', settle).off('close', settle);
      resolve();
    };
    request.on('drain', settle).on('close', settle);
  });
}

/** By events: iterating a stream loads more of Node than the rest of a short command does. */
export function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > ANSWER_MAX_BYTES) response.destroy(fail('internal', `the daemon's answer is longer than ${ANSWER_MAX_BYTES} bytes`));
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    response.on('error', (error) => reject(connectionLost(error, 'the daemon')));
  });
}

function queryString(query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const item of typeof value === 'object' ? value : [value]) parameters.append(name, String(item));
  }
  return parameters.size === 0 ? '' : `?${parameters}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorOf(status: number, body: unknown, what: string): SlicerError {
  const error = fromErrorBody(body);
  if (error !== undefined) return error;
  if (status === 401) return fail('unauthorized', 'the daemon wants a token', 'pass it with --token-file or SLICER_TOKEN_FILE');
  if (status === 404) return fail('not_found', `${what} is not known to what answers there`, 'check the URL, and compare with: slicer info');
  return fail('internal', `${what} was answered with status ${status}, and not by slicer`, 'check the URL');
}

function connectionLost(error: Error, place: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error.name === 'SlicerError') return error;
  return fail('daemon_unreachable', `the connection to ${place} was lost (${code ?? message})`, 'see whether the daemon runs: slicer info');
}
