// The HTTP server that one guest can reach. It lets a request through to the routes only when it has the
// protocol's narrow form and, save for a hello, the session key. Nothing here trusts the guest.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { equalInConstantTime } from '../wire/proof.ts';
import { HEAD_MAX_BYTES } from '../wire/protocol.ts';
import { Connections } from './connections.ts';
import type { LiveLimits } from './limits.ts';
import { hasBody, respondError, respondTooMany, TOO_SLOW } from './response.ts';
import { TokenBucket } from './token-bucket.ts';
import type { RefusalReason } from './witness.ts';

export interface GuestServerParts {
  readonly limits: LiveLimits;
  /** Milliseconds; must not go backwards. */
  readonly monotonicMs: () => number;
  /** The session key, undefined while there is no session. */
  readonly key: () => string | undefined;
  readonly hello: (response: ServerResponse) => void;
  readonly refused: (reason: RefusalReason) => void;
  /** Serves an authenticated request; `route` is method and target. */
  readonly serve: (route: string, request: IncomingMessage, response: ServerResponse) => void;
}

export interface GuestServer {
  readonly server: Server;
  readonly connections: Connections;
}

export function guestServer({ limits, monotonicMs, key, hello, refused, serve }: GuestServerParts): GuestServer {
  const connections = new Connections(limits, refused);
  const connectionRate = new TokenBucket(limits.connections, monotonicMs);
  const requestRate = new TokenBucket(limits.requests, monotonicMs);
  /** The response that each connection waits for. */
  const busy = new WeakMap<Socket, ServerResponse>();

  const server = createServer({
    maxHeaderSize: HEAD_MAX_BYTES,
    headersTimeout: limits.requestMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: limits.requestMs,
    requireHostHeader: false,
    insecureHTTPParser: false,
  });

  // A connection that is refused gets no parser, which costs as much as all the rest of it.
  const [readRequests] = server.listeners('connection') as [(this: Server, socket: Socket) => void];
  server.removeAllListeners('connection');
  server.on('connection', (socket) => {
    if (connectionRate.take() === 0) {
      readRequests.call(server, socket);
      return connections.add(socket);
    }
    refused('too_many_connections');
    socket.destroy();
  });

  server.on('request', (request, response) => {
    const { socket } = request;
    // What came in the same piece as the request that ended its connection: Node reads it all the same, which
    // takes longer than most requests that are answered. It counts as if each had come on a connection of its own,
    // and what other strangers have sent is not read at all.
    if (socket.destroyed) {
      connectionRate.owe(1);
      return connections.closeStrangers();
    }
    // The next request before the answer to this one was taken: the protocol has no pipelining, and a
    // thousand polls in one connection would be a thousand responses held.
    // Node's parser takes older versions of HTTP too, and what they leave out is guessed.
    if (response.socket === null || busy.get(socket)?.writableEnded === false || request.httpVersion !== '1.1') {
      refused('malformed');
      return void socket.destroy();
    }
    busy.set(socket, response);
    response.sendDate = false;

    if (request.headers['transfer-encoding'] !== undefined) {
      refused('malformed');
      return respondError(response, 411, 'invalid_request', 'expected a Content-Length', limits);
    }
    const route = `${request.method} ${request.url}`;
    const isProven = isBearer(request.headers.authorization, key());
    // A hello is a stranger's request, whoever sends it. Refusing costs the host as much as serving does.
    if ((!isProven || route === 'POST /v1/hello') && !connections.admitStranger(socket)) return;
    if (route === 'POST /v1/hello') {
      if (hasBody(request)) {
        refused('malformed');
        return respondError(response, 400, 'invalid_request', 'expected a hello without a body', limits);
      }
      connections.makeStranger(socket);
      return hello(response);
    }
    if (!isProven) {
      refused(request.headers.authorization === undefined ? 'no_key' : 'wrong_key');
      return respondError(response, 401, 'unauthorized', 'expected the session key; a hello brings one', limits);
    }
    connections.authenticate(socket);
    const waitMs = requestRate.take();
    if (waitMs > 0) {
      refused('too_many_requests');
      return respondTooMany(response, waitMs, limits, { Connection: 'close' });
    }
    serve(route, request, response);
  });

  // Without listeners Node would answer these by itself, in forms that the protocol does not have.
  const refuseExpectation = (_request: IncomingMessage, response: ServerResponse): void => {
    refused('malformed');
    respondError(response, 417, 'invalid_request', 'expected no Expect header', limits, { Connection: 'close' });
  };
  const refuseTunnel = (_request: IncomingMessage, socket: Duplex): void => {
    refused('malformed');
    socket.destroy();
  };
  server.on('checkContinue', refuseExpectation);
  server.on('checkExpectation', refuseExpectation);
  server.on('connect', refuseTunnel);
  server.on('upgrade', refuseTunnel);
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT' || code === TOO_SLOW) refused('too_slow');
    else if (code === 'HPE_HEADER_OVERFLOW') refused('too_large');
    // All others are of connections that ended.
    else if (code?.startsWith('HPE_') === true && code !== 'HPE_INVALID_EOF_STATE') refused('malformed');
    socket.destroy();
  });
  return { server, connections };
}

function isBearer(authorization: string | undefined, key: string | undefined): boolean {
  if (authorization === undefined || key === undefined) return false;
  return equalInConstantTime(authorization, `Bearer ${key}`);
}
