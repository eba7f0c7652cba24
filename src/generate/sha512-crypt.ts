// Password hashes as crypt(3) has them with the prefix $6$, which every Linux takes in /etc/shadow and in
// the credential `passwd.hashed-password.USER`. The steps and their numbers are those of the specification,
// "Unix crypt using SHA-256 and SHA-512" by Ulrich Drepper (SHA-crypt.txt), which Node has no function for.
import { createHash } from 'node:crypto';

/** The specification's 5,000 are of 2007. A guest checks 100,000 in a tenth of a second. */
const ROUNDS = 100_000;
const DIGEST_BYTES = 64;
const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** `salt`: 1 to 16 of A-Z a-z 0-9 . and /; `rounds`: 1,000 to 999,999,999. */
export function sha512Crypt(password: Uint8Array, salt: string, rounds: number = ROUNDS): string {
  const key = Buffer.from(password);
  const saltBytes = Buffer.from(salt);
  // 4 to 8
  const b = digest(key, saltBytes, key);
  // 1 to 3, 9 to 12
  const parts: Uint8Array[] = [key, saltBytes, repeated(b, key.length)];
  for (let bits = key.length; bits > 0; bits >>>= 1) parts.push((bits & 1) === 1 ? b : key);
  let a = digest(...parts);
  // 13 to 16
  const p = repeated(digest(...Array.from(key, () => key)), key.length);
  // 17 to 20
  const s = repeated(digest(...Array.from({ length: 16 + (a[0] as number) }, () => saltBytes)), saltBytes.length);
  // 21
  for (let round = 0; round < rounds; round += 1) {
    const odd = round % 2 === 1;
    a = digest(odd ? p : a, ...(round % 3 === 0 ? [] : [s]), ...(round % 7 === 0 ? [] : [p]), odd ? a : p);
  }
  // 22
  return `$6$${rounds === 5000 ? '' : `rounds=${rounds}$`}${salt}$${encode(a)}`;
}

function digest(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function repeated(bytes: Buffer, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, bytes);
}

/** Three bytes are four characters, lowest bits first; the bytes are taken 21 and 42 apart, in turn (22, e). */
function encode(bytes: Buffer): string {
  let text = '';
  const add = (value: number, characters: number): void => {
    for (let rest = value, count = 0; count < characters; count += 1, rest >>>= 6) text += ALPHABET[rest & 0x3f];
  };
  let index = 0;
  for (let group = 0; group < 21; group += 1) {
    const byte = (step: number): number => bytes[(index + step) % 63] as number;
    add((byte(0) << 16) | (byte(21) << 8) | byte(42), 4);
    index = (index + 22) % 63;
  }
  add(bytes[DIGEST_BYTES - 1] as number, 2);
  return text;
}
