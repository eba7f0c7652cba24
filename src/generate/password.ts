// A password, made or typed, and its hash for /etc/shadow.
import { fail } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { alphanumeric, secretOf } from './random.ts';
import { sha512Crypt } from './sha512-crypt.ts';

const SALT_CHARACTERS = 16;
/** Each round of the hash takes the whole password; libxcrypt has the same limit (CRYPT_MAX_PASSPHRASE_SIZE). */
const PASSWORD_MAX_BYTES = 512;

/** `typed`: instead of a random one of `length` characters. Throws value_too_large. */
export function makePassword(length: number, typed: Secret | undefined): ReadonlyMap<string, Secret> {
  const password = typed ?? secretOf(alphanumeric(length));
  if (password.sizeBytes > PASSWORD_MAX_BYTES) {
    throw fail('value_too_large', `the password is ${password.sizeBytes} bytes; one that is hashed has at most ${PASSWORD_MAX_BYTES}`);
  }
  return new Map([['password', password], ['hash', secretOf(sha512Crypt(password.reveal(), alphanumeric(SALT_CHARACTERS)))]]);
}
