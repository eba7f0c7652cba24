// Key pairs, in the formats of the programs that read them.
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { getKeys } from 'micro-key-producer/ssh.js';
import type { Secret } from '../secret/secret.ts';
import { secretOf } from './random.ts';

const SEED_BYTES = 32;

/** OpenSSH's own format (PROTOCOL.key), without a passphrase, and without the
 *  library's empty line after the first, which ssh-keygen does not write. */
export function makeSshKey(comment: string): ReadonlyMap<string, Secret> {
  const { privateKey, publicKey } = getKeys(randomBytes(SEED_BYTES), comment);
  return new Map([['key', secretOf(privateKey.replace('-----\n\n', '-----\n'))], ['key.pub', secretOf(`${publicKey}\n`)]]);
}

/** age's native X25519 keys, as age-keygen prints them. */
export async function makeAgeKey(): Promise<ReadonlyMap<string, Secret>> {
  const identity = await generateX25519Identity();
  return new Map([['identity', secretOf(`${identity}\n`)], ['recipient', secretOf(`${await identityToRecipient(identity)}\n`)]]);
}

/** A private key of X25519 as PKCS #8 (RFC 8410, 7): all that stands before its 32 bytes. */
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** What `wg genkey` and `wg pubkey` print. */
export function makeWireguardKey(): ReadonlyMap<string, Secret> {
  const scalar = randomBytes(SEED_BYTES);
  // RFC 7748, 5: wg shows keys with these bits as they are used.
  scalar[0] = (scalar[0] as number) & 248;
  scalar[31] = ((scalar[31] as number) & 127) | 64;
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_X25519, scalar]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  const publicKey = Buffer.from(x as string, 'base64url');
  return new Map([['private-key', secretOf(`${scalar.toString('base64')}\n`)], ['public-key', secretOf(`${publicKey.toString('base64')}\n`)]]);
}
