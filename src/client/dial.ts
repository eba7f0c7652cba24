// Connects to the first address that answers. Nothing is sent before a connection stands, so that
// trying the next one never sends a request twice.
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { type Address, formatAddress } from './address.ts';
import { isOwnedBy } from './socket-owner.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export interface Dialled {
  readonly socket: Socket;
  readonly address: Address;
}

/** Throws daemon_unreachable, which says what was tried, and forbidden for a socket of somebody else. */
export async function dial(addresses: readonly Address[], signal?: AbortSignal): Promise<Dialled> {
  const tried: string[] = [];
  for (const address of addresses) {
    try {
      return { socket: await connect(address, signal), address };
    } catch (error) {
      signal?.throwIfAborted();
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') throw forbidden(address);
      tried.push(`${formatAddress(address)} (${describe(code ?? message)})`);
    }
  }
  throw fail('daemon_unreachable', `no daemon answers: tried ${tried.join(', ')}`, hintFor(addresses));
}

async function connect(address: Address, signal: AbortSignal | undefined): Promise<Socket> {
  if (address.kind === 'tcp' && address.isTls) {
    const { connect: connectTls } = await import('node:tls');
    const options = { host: address.host, port: address.port, ...(isIP(address.host) ? {} : { servername: address.host }), ALPNProtocols: ['http/1.1'] };
    return whenConnected(connectTls(options), 'secureConnect', signal);
  }
  if (address.kind === 'unix' && address.owners !== undefined && !isOwnedBy(address.owners, address.path)) {
    throw new Error('another user\'s; to use it, name it with --url');
  }
  const target = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  return whenConnected(connectSocket(target), 'connect', signal);
}

function whenConnected(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      signal?.removeEventListener('abort', onAbort);
      socket.setTimeout(0).removeAllListeners();
      if (error === undefined) return resolve(socket);
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const onAbort = (): void => settle(new Error('aborted'));
    signal?.addEventListener('abort', onAbort);
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000}s`)));
    socket.once(event, () => settle()).once('error', settle);
    if (signal?.aborted) onAbort();
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'not there',
  ECONNREFUSED: 'nobody listens',
  ENOTSOCK: 'not a socket',
  ENOTFOUND: 'unknown host',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS there',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no TLS there',
};

const describe = (reason: string): string => REASONS[reason] ?? reason;

function forbidden(address: Address): SlicerError {
  return fail(
    'forbidden',
    `this user may not connect to ${formatAddress(address)}`,
    'run it with sudo, or set api.socket_group in the configuration to a group of yours',
  );
}

function hintFor(addresses: readonly Address[]): string {
  return addresses.some((address) => address.kind === 'unix')
    ? 'start one with: slicer up'
    : 'check --url, and that the daemon listens there';
}
