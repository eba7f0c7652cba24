import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { makePassword } from '../../src/generate/password.ts';
import { sha512Crypt } from '../../src/generate/sha512-crypt.ts';
import { Secret } from '../../src/secret/secret.ts';
import { lacks, run, textOf } from './generate-fixture.ts';

// Those of SHA-crypt.txt, the specification, whose salts and rounds are within what it allows.
const VECTORS: readonly (readonly [string, string, number, string])[] = [
  ['Hello world!', 'saltstring', 5000,
    '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1'],
  ['Hello world!', 'saltstringsaltst', 10_000,
    '$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.'],
];
for (const [password, salt, rounds, expected] of VECTORS) {
  test(`${expected.slice(0, 30)}… is the hash that the specification gives`, () => assert.equal(sha512Crypt(Buffer.from(password), salt, rounds), expected));
}

test('openssl hashes passwords of all lengths and bytes to the same', { skip: lacks('openssl', 'openssl') }, () => {
  for (const length of [1, 2, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 180]) {
    const password = 'pässword ✓ '.repeat(30).slice(0, length);
    assert.equal(run('openssl', ['passwd', '-6', '-salt', `rounds=1000$salt${length}`, '-stdin'], `${password}\n`).trimEnd(), sha512Crypt(Buffer.from(password), `salt${length}`, 1000), String(length));
  }
});

test('a password has its hash beside it, with another salt each time', { skip: lacks('openssl', 'openssl') }, () => {
  const made = makePassword(24, undefined);
  const [password, hash] = [textOf(made.get('password')), textOf(made.get('hash'))];
  assert.match(password, /^[A-Za-z0-9]{24}$/);
  const [, salt] = /^\$6\$rounds=100000\$([A-Za-z0-9]{16})\$[A-Za-z0-9./]{86}$/.exec(hash) as unknown as [string, string];
  assert.equal(run('openssl', ['passwd', '-6', '-salt', `rounds=100000$${salt}`, '-stdin'], `${password}\n`).trimEnd(), hash);
  assert.notEqual(textOf(makePassword(24, made.get('password')).get('hash')), hash);
});

test('one that was typed is kept as it is; one that is too long to hash is refused by its size', () => {
  const typed = new Secret(Buffer.from('correct horse'));
  assert.equal(makePassword(24, typed).get('password'), typed);
  assert.throws(() => makePassword(24, new Secret(Buffer.alloc(513))), (error: unknown) =>
    error instanceof SlicerError && error.message === 'the password is 513 bytes; one that is hashed has at most 512');
});
