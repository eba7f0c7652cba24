import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isGranted } from '../../src/secret/grant.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';

const name = (text: string): SecretName => parseSecretName(text) as SecretName;

test('a grant of all holds for every name, a list for exactly its names, an empty one for none', () => {
  assert.ok(isGranted('all', name('a')));
  assert.ok(isGranted([name('a'), name('b')], name('b')));
  assert.ok(!isGranted([name('a')], name('A')));
  assert.ok(!isGranted([name('ab')], name('a')));
  assert.ok(!isGranted([], name('a')));
  assert.ok(!isGranted([name('a')], name('all')));
});
