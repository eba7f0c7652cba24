// Which daemon to speak to, and with which token: flags before environment before what is usual. The
// token of this machine's daemon is never sent to another machine unless the user says so.
import { readFileSync } from 'node:fs';
import { fail } from '../errors/slicer-error.ts';
import { type Address, isLocal, parseAddress } from './address.ts';
import { trustedOwners } from './socket-owner.ts';

/** Sockets that are tried, in this order, when no URL is given; those of other users are passed over. */
const USUAL_SOCKETS = ['./slicer.sock', '/run/slicer/slicer.sock'] as const;

const USUAL_TOKEN_FILE = '/var/lib/slicer/auth/token';

/** As the flags --url, --token and --token-file. */
export interface ConnectionChoice {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
}

export interface Connection {
  /** Tried in order until one answers. */
  readonly addresses: readonly Address[];
  readonly token: string | undefined;
}

/** Reads SLICER_URL, SLICER_TOKEN, SLICER_TOKEN_FILE, SUDO_UID and HOME from `env`. Throws usage, not_found, forbidden. */
export function chooseConnection(choice: ConnectionChoice, env: NodeJS.ProcessEnv): Connection {
  const url = choice.url ?? presence(env['SLICER_URL']);
  const addresses: Address[] =
    url === undefined
      ? USUAL_SOCKETS.map((path) => ({ kind: 'unix', path, owners: trustedOwners(env) }))
      : [parseAddress(url, env['HOME'] ?? '')];
  return { addresses, token: chooseToken(choice, env, addresses) };
}

function chooseToken(choice: ConnectionChoice, env: NodeJS.ProcessEnv, addresses: readonly Address[]): string | undefined {
  if (choice.token !== undefined && choice.tokenFile !== undefined) {
    throw fail('usage', '--token and --token-file exclude each other');
  }
  if (choice.token !== undefined) return checkToken(choice.token, '--token');
  if (choice.tokenFile !== undefined) return readToken(choice.tokenFile);
  const fromEnv = presence(env['SLICER_TOKEN']);
  if (fromEnv !== undefined) return checkToken(fromEnv, 'SLICER_TOKEN');
  const fileFromEnv = presence(env['SLICER_TOKEN_FILE']);
  if (fileFromEnv !== undefined) return readToken(fileFromEnv);
  const wantsToken = addresses.every((address) => address.kind === 'tcp' && isLocal(address));
  return wantsToken ? readUsualToken() : undefined;
}

function readToken(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') throw fail('forbidden', `the token file "${path}" is not readable by this user`);
    throw fail('not_found', `cannot read the token file "${path}" (${code})`);
  }
  return tokenIn(text, path);
}

/** What the token file `path` holds. Throws usage. */
export const tokenIn = (text: string, path: string): string => checkToken(text.trim(), `the token file "${path}"`);

/** Most users may not read it, and a daemon may want no token: then its answer says what is missing. */
function readUsualToken(): string | undefined {
  try {
    return tokenIn(readFileSync(USUAL_TOKEN_FILE, 'utf8'), USUAL_TOKEN_FILE);
  } catch {
    return undefined;
  }
}

/** A token goes into a header: visible ASCII only (RFC 9110, section 5.5). */
function checkToken(token: string, source: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw fail('usage', `${source} holds no token: expected visible ASCII characters`);
}

const presence = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
