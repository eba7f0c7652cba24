// Where the API listens: `bind_address` is an IP address or the path of a socket, as in public Slicer.
import { BlockList, isIP } from 'node:net';

export type BindAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'ip'; readonly address: string };

/**
 * Reads a bind address: a path begins with `/`, `./`, `../`, `~/` or `unix://`, or ends in `.sock`; an
 * address may stand in brackets or before a colon ("127.0.0.1:"), as public Slicer writes it, and
 * `localhost` is 127.0.0.1. Undefined for anything else.
 */
export function parseBindAddress(text: string): BindAddress | undefined {
  if (/^(\/|\.{1,2}\/|~\/|unix:\/\/)/.test(text) || text.endsWith('.sock')) {
    const path = text.replace(/^unix:\/\//, '');
    return path === '' ? undefined : { kind: 'socket', path };
  }
  const bare = isIP(text) === 0 ? text.replace(/:$/, '').replace(/^\[(.*)\]$/, '$1') : text;
  const address = bare === 'localhost' ? '127.0.0.1' : bare;
  return isIP(address) === 0 || address.includes('%') ? undefined : { kind: 'ip', address };
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether only this machine can reach the address (RFC 6890). */
export function isLoopback(address: string): boolean {
  return LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
