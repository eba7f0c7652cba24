// Responses to a guest: always a length, never chunks, head and body in one write, and taken in time or
// ended.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LiveLimits } from './limits.ts';

export type ResponseLimits = Pick<LiveLimits, 'responseMs' | 'responseBytesPerSecond'>;

const EMPTY = Buffer.alloc(0);

/** What the server's `clientError` gets of a guest that does not take what it asked for. */
export const TOO_SLOW = 'SLICER_TOO_SLOW';

/** Sends a whole response. `body` is sent from as it is: the caller must not change it afterwards. */
export function respond(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  limits: ResponseLimits,
): void {
  const { socket } = response;
  if (socket === null || response.headersSent) return;
  // RFC 9110, 8.6: none in a 204; in a 304 it would be that of the 200.
  const length = status === 204 || status === 304 ? {} : { 'Content-Length': body.byteLength };
  // A body that was not read would be read to its end first, however long it says it is.
  const close = hasBody(response.req) && !response.req.complete ? { Connection: 'close' } : {};
  response.writeHead(status, { ...headers, ...close, ...length });
  response.end(body);
  if (socket.writableLength === 0) return;
  const timeMs = limits.responseMs + (body.byteLength / limits.responseBytesPerSecond) * 1000;
  const timer = setTimeout(() => socket.destroy(Object.assign(new Error('the response was not taken in time'), { code: TOO_SLOW })), timeMs);
  response.once('close', () => clearTimeout(timer));
}

export function respondEmpty(response: ServerResponse, status: number, limits: ResponseLimits): void {
  respond(response, status, {}, EMPTY, limits);
}

/** What is wrong, as JSON. */
export function respondError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  limits: ResponseLimits,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(JSON.stringify({ error: message, code }));
  respond(response, status, { ...headers, 'Content-Type': 'application/json' }, body, limits);
}

/** 429 with the seconds after which to come again. */
export function respondTooMany(
  response: ServerResponse,
  waitMs: number,
  limits: ResponseLimits,
  headers: Readonly<Record<string, string>> = {},
): void {
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
  respondError(response, 429, 'too_many_requests', 'requests come too fast', limits, { ...headers, 'Retry-After': seconds });
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
