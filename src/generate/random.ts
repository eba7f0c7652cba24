// Random values as text, from the kernel's generator (getrandom(2)).
import { randomBytes, randomInt } from 'node:crypto';
import type { RandomRecipe } from '../config/generators.ts';
import { Secret } from '../secret/secret.ts';

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Without a newline at its end. */
export function makeRandom({ encoding, length }: Omit<RandomRecipe, 'kind'>): Secret {
  switch (encoding) {
    case 'base64': return secretOf(randomBytes(length).toString('base64'));
    case 'hex': return secretOf(randomBytes(length).toString('hex'));
    case 'alphanumeric': return secretOf(alphanumeric(length));
  }
}

/** `length` characters, each of 62 with the same probability. */
export function alphanumeric(length: number): string {
  return Array.from({ length }, () => ALPHANUMERIC[randomInt(ALPHANUMERIC.length)]).join('');
}

export const secretOf = (text: string): Secret => new Secret(Buffer.from(text));
