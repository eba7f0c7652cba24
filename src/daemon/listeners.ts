// The API's listeners: Unix sockets, which file permissions guard, and TCP, which bearer tokens do.
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { readFileSync } from 'node:fs';
import { createServer, STATUS_CODES, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { toErrorBody } from '../api/error-body.ts';
import { REQUEST_HEAD_MAX_BYTES } from '../api/limits.ts';
import type { ApiConfig, RoleSocket, TcpListener, UnixListener } from '../config/config.ts';
import { fail } from '../errors/slicer-error.ts';
import { listenPrivately } from '../live/socket-listener.ts';
import { bySocket, byToken, type Identify } from './caller.ts';
import type { Bindings, Router } from './router.ts';
import type { KnownToken } from './token.ts';

/** From a connection's beginning, or a request's, until its head is there. */
const HEAD_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 60_000;
const CONNECTIONS_MAX = 1024;

export interface Listeners {
  /** Where the API is, as the CLI's `--url` takes it. */
  readonly urls: readonly string[];
  /** Takes no more connections, and ends those that are idle; resolves when the last answer was sent. */
  close(): Promise<void>;
  /** Ends every connection now. */
  end(): void;
}

/** `tokens` is undefined where TCP needs none. Throws already_running, invalid_request, invalid_config. */
export async function openListeners(router: Router, api: ApiConfig, tokens: readonly KnownToken[] | undefined): Promise<Listeners> {
  const servers: Server[] = [];
  const urls: string[] = [];
  const end = (): void => servers.forEach((server) => server.closeAllConnections());
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    })));
  };
  try {
    const main: readonly RoleSocket[] = api.unix === undefined ? [] : [{ ...api.unix, role: 'admin' }];
    for (const socket of [...main, ...api.sockets]) {
      const server = serverFor(router, { identify: bySocket(socket.role), isOpen: true });
      await listenOnSocket(server, socket);
      servers.push(server);
      urls.push(socket.path);
    }
    if (api.tcp !== undefined) {
      const server = serverFor(router, { identify: byToken(tokens), isOpen: tokens === undefined });
      urls.push(await listenOnTcp(server, api.tcp));
      servers.push(server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { urls, close, end };
}

function serverFor(router: Router, { identify, isOpen }: { identify: Identify } & Pick<Bindings, 'isOpen'>): Server {
  const listener = getRequestListener(
    (request, bindings) => router.fetch(request, { ...(bindings as HttpBindings), caller: identify((bindings as HttpBindings).incoming), isOpen }),
    { overrideGlobalObjects: false, autoCleanupIncoming: false },
  );
  const server = createServer({
    maxHeaderSize: REQUEST_HEAD_MAX_BYTES,
    headersTimeout: HEAD_TIMEOUT_MS,
    // A command's stdin may take for ever; JSON bodies have a limit of their own.
    requestTimeout: 0,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: HEAD_TIMEOUT_MS / 2,
  }, (incoming, outgoing) => void listener(incoming, outgoing));
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', answerBadRequest);
  return server;
}

/** What never became a request gets an answer in the API's form, too. */
function answerBadRequest({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || code === 'ECONNRESET') return void socket.destroy();
  const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify(toErrorBody(fail('invalid_request', 'expected an HTTP/1.1 request')));
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n`
    + `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}

async function listenOnSocket(server: Server, { path, group }: UnixListener): Promise<void> {
  const gid = group === undefined ? undefined : groupId(group);
  await listenPrivately(server, path, gid);
}

/** group(5). */
function groupId(group: string): number {
  if (/^[0-9]+$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8').split('\n').find((entry) => entry.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  if (id === undefined) {
    throw fail('invalid_config', `there is no group "${group}" in /etc/group`, 'set config.api.socket_group, or the group of config.api.sockets, to a name or a number');
  }
  return Number(id);
}

function listenOnTcp(server: Server, { address, port }: TcpListener): Promise<string> {
  const host = address.includes(':') ? `[${address}]` : address;
  return new Promise((resolve, reject) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      reject(code === 'EADDRINUSE'
        ? fail('already_running', `another process listens on ${host}:${port}`, 'set config.api.port')
        : fail('invalid_config', `can't listen on ${host}:${port}: ${code}`, 'set config.api.bind_address and config.api.port'));
    });
    server.listen(port, address, () => {
      server.removeAllListeners('error');
      resolve(`http://${host}:${(server.address() as AddressInfo).port}`);
    });
  });
}
