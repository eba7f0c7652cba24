// How one value is made, as a word on the command line: `random:32`, `random:32:hex`, `password:24`, `uuid`.
import { randomUUID } from 'node:crypto';
import { DEFAULT_PASSWORD_LENGTH, DEFAULT_RANDOM, RANDOM_ENCODINGS } from '../config/generators.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { makeRandom, secretOf } from './random.ts';

const LENGTH_MAX = 65_536;

const VALUE_SPEC_RULE = `random[:LENGTH[:${RANDOM_ENCODINGS.join('|')}]], password[:LENGTH] or uuid, LENGTH being 1 to ${LENGTH_MAX}`;

/** Throws usage. What was typed is not shown: it may be a value that was meant for another flag. */
export function makeValue(spec: string): Secret {
  const [kind, lengthText, encodingText, ...rest] = spec.split(':');
  const length = lengthText === undefined ? undefined : /^[1-9]\d{0,4}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  const encoding = RANDOM_ENCODINGS.find((word) => word === (encodingText ?? DEFAULT_RANDOM.encoding));
  const isLength = length === undefined || length <= LENGTH_MAX;
  if (rest.length === 0 && isLength) {
    if (kind === 'random' && encoding !== undefined) return makeRandom({ encoding, length: length ?? DEFAULT_RANDOM.length });
    if (kind === 'password' && encodingText === undefined) return makeRandom({ encoding: 'alphanumeric', length: length ?? DEFAULT_PASSWORD_LENGTH });
    if (kind === 'uuid' && lengthText === undefined) return secretOf(randomUUID());
  }
  throw fail('usage', `expected ${VALUE_SPEC_RULE}`);
}
