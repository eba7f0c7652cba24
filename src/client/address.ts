// Where a daemon listens, as a user writes it.
import { fail } from '../errors/slicer-error.ts';

export type Address =
  | {
      readonly kind: 'unix';
      readonly path: string;
      /** Who may own it, by user id; absent where the user named the path. */
      readonly owners?: readonly number[];
    }
  | {
      readonly kind: 'tcp';
      readonly isTls: boolean;
      readonly host: string;
      readonly port: number;
      /** What stands before every route, without a slash at its end; empty for none. */
      readonly basePath: string;
    };

const SOCKET_SCHEME = 'unix://';
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/**
 * Reads a URL. One that begins with `/`, `./`, `../`, `~/` or `unix://`, or ends in `.sock`, is a socket;
 * without a scheme it is http. `home` replaces `~`. Throws usage.
 */
export function parseAddress(text: string, home: string): Address {
  if (text.startsWith(SOCKET_SCHEME)) return socketAddress(text.slice(SOCKET_SCHEME.length), home);
  if (/^(?:~|\.\.?)?\//.test(text) || (text.endsWith('.sock') && !SCHEME.test(text))) return socketAddress(text, home);
  const url = tryUrl(SCHEME.test(text) ? text : `http://${text}`);
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw badUrl('is no http or https URL and no path of a socket');
  }
  if (url.username !== '' || url.password !== '') {
    throw fail('usage', 'the URL holds a user or password', 'pass the token with --token-file');
  }
  if (url.search !== '' || url.hash !== '') throw badUrl('has a query or fragment');
  const isTls = url.protocol === 'https:';
  return {
    kind: 'tcp',
    isTls,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
    basePath: url.pathname.replace(/\/+$/, ''),
  };
}

export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return address.path;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${address.isTls ? 'https' : 'http'}://${host}:${address.port}${address.basePath}`;
}

/** Whether a connection stays on this machine. */
export function isLocal(address: Address): boolean {
  return address.kind === 'unix' || address.host === 'localhost' || address.host === '::1' || /^127(?:\.\d+){3}$/.test(address.host);
}

function socketAddress(text: string, home: string): Address {
  const path = text.startsWith('~/') ? home.replace(/\/$/, '') + text.slice(1) : text;
  if (path === '') throw badUrl('names no socket');
  return { kind: 'unix', path };
}

function tryUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function badUrl(fact: string) {
  return fail('usage', `the URL ${fact}`, 'for example --url=http://127.0.0.1:8080 or --url=./slicer.sock');
}
