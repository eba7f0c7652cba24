// The API's HTTP server: Node's, with limits, and the router behind it. Guarantees that whatever is answered
// with an error has it in the API's form, also what never became a request.
import { getRequestListener, RequestError, type HttpBindings } from '@hono/node-server';
import { createServer, STATUS_CODES, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { toErrorBody } from '../api/error-body.ts';
import { REQUEST_HEAD_MAX_BYTES } from '../api/limits.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Identify } from './caller.ts';
import type { Bindings, Router } from './router.ts';

/** From a connection's beginning, or a request's, until its head is there. */
const HEAD_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;
const CONNECTIONS_MAX = 1024;

/** One listener's; it has yet to listen. */
export function serverFor(router: Pick<Router, 'fetch'>, { identify, isOpen }: { identify: Identify } & Pick<Bindings, 'isOpen'>): Server {
  const listener = getRequestListener(
    (request, bindings) => router.fetch(request, { ...(bindings as HttpBindings), caller: identify((bindings as HttpBindings).incoming), isOpen }),
    { overrideGlobalObjects: false, autoCleanupIncoming: false, errorHandler: unserved },
  );
  const server = createServer({
    maxHeaderSize: REQUEST_HEAD_MAX_BYTES,
    headersTimeout: HEAD_TIMEOUT_MS,
    // A command's stdin may take for ever; JSON bodies have a limit of their own.
    requestTimeout: 0,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: HEAD_TIMEOUT_MS / 2,
    // Refused all the same, by what makes the request, and with a body.
    requireHostHeader: false,
  }, (incoming, outgoing) => void listener(incoming, outgoing));
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', answerBadRequest);
  server.on('checkExpectation', ({ socket }) => endWith(socket, 417));
  return server;
}

/** What the router never had, or did not catch. */
function unserved(error: unknown): Response {
  return error instanceof RequestError ? Response.json(badRequest(), { status: 400 })
    : Response.json(toErrorBody(fail('internal', 'the daemon failed')), { status: 500 });
}

const badRequest = (): object => toErrorBody(fail('invalid_request', 'expected an HTTP/1.1 request'));

/** What never became a request gets an answer in the API's form, too. */
function answerBadRequest({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || code === 'ECONNRESET') return void socket.destroy();
  endWith(socket, code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400);
}

function endWith(socket: Duplex, status: number): void {
  const body = JSON.stringify(badRequest());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n`
    + `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}
