// The bearer tokens of the TCP API: files that only their owner can read, made at the first start.
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ApiConfig, ApiRole } from '../config/config.ts';
import { fail } from '../errors/slicer-error.ts';
import { randomHex } from '../live/dependencies.ts';

export interface KnownToken {
  readonly name: string;
  readonly token: string;
  readonly role: ApiRole;
}

/** Shorter than what this makes, since a user may put one of his own there. */
const TOKEN_MIN_LENGTH = 16;
const TOKEN = /^[\x21-\x7e]+$/;

/** All that TCP knows; undefined where it asks for none. Throws what `loadToken` does. */
export async function loadTokens({ tcp, auth, tokens }: ApiConfig): Promise<KnownToken[] | undefined> {
  if (tcp === undefined || !auth.enabled) return undefined;
  const known: KnownToken[] = [];
  for (const { name, tokenFile, role } of [{ name: 'token', tokenFile: auth.tokenFile, role: 'admin' as const }, ...tokens]) {
    known.push({ name, role, token: await loadToken(tokenFile, randomHex) });
  }
  return known;
}

/**
 * The token in `file`; where there is none, one of 32 random bytes is made, the file 0600 and its
 * directory 0700. Throws store_not_private when the file is another user's or others can read it,
 * invalid_config when it holds no token.
 */
export async function loadToken(file: string, randomHex: () => string): Promise<string> {
  const token = await read(file) ?? await make(file, randomHex());
  if (token === undefined) throw fail('invalid_config', `the token file ${file} went away while it was made`);
  return token;
}

/** Whether an Authorization header carries the token; the time it takes does not depend on how much of it is right. */
export function carriesToken(authorization: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${token}`));
}

/** The token that a file holds, whitespace around it aside; undefined where there is none. */
export function tokenIn(text: string): string | undefined {
  const token = text.trim();
  return token.length >= TOKEN_MIN_LENGTH && TOKEN.test(token) ? token : undefined;
}

async function read(file: string): Promise<string | undefined> {
  // A FIFO would hold up who opens it.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw fail('invalid_config', `the token file ${file} can't be read: ${error.code}`);
  });
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    const { mode, uid } = stats;
    if (!stats.isFile()) throw fail('invalid_config', `the token file ${file} is not a file`, 'set config.api.auth.token_file to one');
    const own = process.geteuid?.();
    if (uid !== own && uid !== 0) {
      throw fail('store_not_private', `the token file ${file} belongs to user ${uid}, who knows what is in it`, `chown ${own} ${file}, with a new token`);
    }
    if ((mode & 0o077) !== 0) {
      throw fail('store_not_private', `the token file ${file} can be read by others (mode ${(mode & 0o777).toString(8)})`,
        `chmod 600 ${file}`);
    }
    const token = tokenIn(await handle.readFile('utf8'));
    if (token === undefined) {
      throw fail('invalid_config', `the token file ${file} holds no token of at least ${TOKEN_MIN_LENGTH} printable characters`,
        `rm ${file}, and the daemon makes a new one`);
    }
    return token;
  } finally {
    await handle.close();
  }
}

/** The file appears with the token in it, or another daemon's does. */
async function make(file: string, token: string): Promise<string | undefined> {
  const own = `${file}.${randomUUID()}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    // Durable before it has its name: an empty file after a power cut would keep the daemon from starting.
    await writeFile(own, `${token}\n`, { mode: 0o600, flag: 'wx', flush: true });
    await link(own, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } catch (error) {
    throw fail('invalid_config', `the token file ${file} can't be made: ${(error as NodeJS.ErrnoException).code}`,
      'run slicer up as root, or set config.api.auth.token_file');
  } finally {
    await rm(own, { force: true });
  }
  return read(file);
}
