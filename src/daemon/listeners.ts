// The API's listeners: Unix sockets, which file permissions guard, and TCP, which bearer tokens do.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiConfig, RoleSocket, TcpListener, UnixListener } from '../config/config.ts';
import { absentGroup } from '../config/absent-places.ts';
import { groupId } from '../config/group-id.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { listenPrivately } from '../live/socket-listener.ts';
import { serverFor } from './api-server.ts';
import { bySocket, byToken } from './caller.ts';
import type { Router } from './router.ts';
import type { KnownToken } from './token.ts';

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

async function listenOnSocket(server: Server, { path, group }: UnixListener): Promise<void> {
  const gid = group === undefined ? undefined : groupId(group);
  if (group !== undefined && gid === undefined) throw new SlicerError([absentGroup(group)]);
  await listenPrivately(server, path, gid);
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
