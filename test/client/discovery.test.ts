import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatAddress } from '../../src/client/address.ts';
import { chooseConnection, type ConnectionChoice } from '../../src/client/discovery.ts';

const directory = mkdtempSync(join(tmpdir(), 'slicer-discovery-'));
after(() => rmSync(directory, { recursive: true }));
const tokenFile = join(directory, 'token');
writeFileSync(tokenFile, 'from-file\n');
const emptyFile = join(directory, 'empty');
writeFileSync(emptyFile, '\n');

const chosen = (choice: ConnectionChoice, env: NodeJS.ProcessEnv = {}): [string[], string | undefined] => {
  const { addresses, token } = chooseConnection(choice, env);
  return [addresses.map(formatAddress), token];
};

const USUAL = ['./slicer.sock', '/run/slicer/slicer.sock'];
const URL_ENV = { SLICER_URL: 'http://example.org' };

for (const [what, choice, env, addresses, token] of [
  ['without anything the usual sockets are tried', {}, {}, USUAL, undefined],
  ['an empty environment variable is absent', {}, { SLICER_URL: '', SLICER_TOKEN: '' }, USUAL, undefined],
  ['the environment names a URL', {}, URL_ENV, ['http://example.org:80'], undefined],
  ['a flag goes before the environment', { url: './a.sock' }, URL_ENV, ['./a.sock'], undefined],
  ['a token flag goes before everything', { token: 't' }, { SLICER_TOKEN: 'u', SLICER_TOKEN_FILE: tokenFile }, USUAL, 't'],
  ['a token file flag goes before the environment', { tokenFile }, { SLICER_TOKEN: 'u' }, USUAL, 'from-file'],
  ['the environment names a token', {}, { ...URL_ENV, SLICER_TOKEN: 'u', SLICER_TOKEN_FILE: tokenFile }, ['http://example.org:80'], 'u'],
  ['the environment names a token file', {}, { ...URL_ENV, SLICER_TOKEN_FILE: tokenFile }, ['http://example.org:80'], 'from-file'],
] as const) {
  test(what, () => assert.deepEqual(chosen(choice, env), [addresses, token]));
}

for (const [what, choice, env, message] of [
  ['two tokens', { token: 'a', tokenFile }, {}, '--token and --token-file exclude each other'],
  ['a token file that is not there', { tokenFile: '/nonexistent/token' }, {}, 'cannot read the token file "/nonexistent/token" (ENOENT)'],
  ['a token file that is empty', { tokenFile: emptyFile }, {}, `the token file "${emptyFile}" holds no token: expected visible ASCII characters`],
  ['a token that would break the header', {}, { SLICER_TOKEN: 'a\nb' }, 'SLICER_TOKEN holds no token: expected visible ASCII characters'],
] as const) {
  test(`${what} is refused`, () => assert.throws(() => chosen(choice, env), { message }));
}
