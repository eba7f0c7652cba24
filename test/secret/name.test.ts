import assert from 'node:assert/strict';
import { basename, normalize } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseSecretName, SECRET_NAME_MAX_LENGTH } from '../../src/secret/name.ts';

const GOOD = ['a', 'A', '0', '_', '-', 'api-key', 'tls.key', 'a..b', 'a.', '-rf', '--', '4913', 'x.bak', 'n'.repeat(SECRET_NAME_MAX_LENGTH)];
const BAD = ['', '.', '..', '.a', 'a/b', '/a', 'a b', 'a\n', '\na', 'a\0', 'a:b', 'a~', '#a#', 'a\\b', 'é', 'a\u202e', '*', '$a', "a'", 'n'.repeat(SECRET_NAME_MAX_LENGTH + 1)];

test('a name is 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot', () => {
  for (const text of GOOD) assert.equal(parseSecretName(text), text);
  for (const text of BAD) assert.equal(parseSecretName(text), undefined, JSON.stringify(text));
});

test('of all single characters 64 are names, and 65 may follow the first', () => {
  const characters = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code));
  assert.equal(characters.filter((character) => parseSecretName(character) !== undefined).length, 64);
  assert.equal(characters.filter((character) => parseSecretName(`a${character}`) !== undefined).length, 65);
});

test('what is accepted is one component of a path, and the same whatever normalises it', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[A-Za-z0-9._/-]{1,10}$/)), (text) => {
    const name = parseSecretName(text);
    if (name === undefined) return;
    assert.equal(basename(name), name);
    assert.equal(normalize(name), name);
    assert.equal(name.normalize('NFKC'), name);
    assert.ok(Buffer.byteLength(name) <= 255, 'NAME_MAX of Linux');
    assert.notEqual(name[0], '.');
  }));
});
