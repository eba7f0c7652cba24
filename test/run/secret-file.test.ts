import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readCredentialFile, readSecretFile } from '../../src/run/secret-file.ts';
import { SECRET_MAX_BYTES } from '../../src/secret/secret.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const CANARY = 'canary-51ab';
const UID = process.geteuid?.() as number;
const OTHER_UID = 12_345;
const asRoot = UID === 0 ? false : 'only root can give files away';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-secret-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function secretIn(parent: string, mode = 0o400): string {
  const path = join(parent, 'value');
  writeFileSync(path, CANARY);
  chmodSync(path, mode);
  return path;
}

/** The bytes, or the error's code and message. */
function read(path: string, callerUid = UID): string {
  try {
    return Buffer.from(readSecretFile('secret "a"', path, callerUid).reveal()).toString();
  } catch (error) {
    assert.ok(error instanceof SlicerError, String(error));
    assert.ok(!JSON.stringify(error.problems).includes(CANARY));
    return `${error.code} ${error.message.replace(/^secret "a": /, '').replace(path, 'PATH')}`;
  }
}

for (const mode of [0o400, 0o600, 0o700, 0o440, 0o640, 0o500]) {
  test('what is no secret may be open to others, who may not write it', (t) => {
  const path = secretIn(directory(t), 0o444);
  assert.deepEqual(Buffer.from(readSecretFile('secret "a"', path, UID, true).reveal()).toString(), CANARY);
  chmodSync(path, 0o446);
  assert.throws(() => readSecretFile('secret "a"', path, UID, true), { code: 'secret_not_private' });
});

test(`a file of mode 0${mode.toString(8)} is read`, (t) => assert.equal(read(secretIn(directory(t), mode)), CANARY));
}

for (const mode of [0o404, 0o401, 0o402, 0o444, 0o644, 0o420, 0o660]) {
  test(`a file of mode 0${mode.toString(8)} is refused`, (t) =>
    assert.equal(read(secretIn(directory(t), mode)), `secret_not_private PATH has mode 0${mode.toString(8)}`));
}

test('a file that is not there, or below a directory that is not, is not found', (t) => {
  const path = directory(t);
  assert.equal(read(join(path, 'no')), 'secret_not_found PATH does not exist');
  assert.equal(read(join(path, 'no/no')), 'secret_not_found PATH does not exist');
});

test('an empty file is a value of 0 bytes, which the plan decides about', (t) => {
  const path = secretIn(directory(t), 0o600);
  writeFileSync(path, '');
  assert.equal(read(path), '');
});

test('a link in the last place is not followed, wherever it leads and whoever owns it', (t) => {
  const path = directory(t);
  secretIn(path);
  symlinkSync('value', join(path, 'link'));
  symlinkSync('nowhere', join(path, 'dangling'));
  assert.equal(read(join(path, 'link')), 'secret_not_private PATH is a symbolic link');
  assert.equal(read(join(path, 'dangling')), 'secret_not_private PATH is a symbolic link');
});

test('links of root on the way are followed: absolute, relative, upwards, one to another', { skip: asRoot }, (t) => {
  const path = directory(t);
  mkdirSync(join(path, 'a/b'), { recursive: true });
  secretIn(join(path, 'a/b'));
  symlinkSync(join(path, 'a'), join(path, 'absolute'));
  symlinkSync('../a/b', join(path, 'a/up'));
  symlinkSync('absolute', join(path, 'twice'));
  for (const way of ['absolute/b', 'a/up', 'twice/b', 'absolute/up/../b', 'a//b']) assert.equal(read(join(path, `${way}/value`)), CANARY, way);
});

test('a link of another user on the way is refused, also where it leads to a file that is right', { skip: asRoot }, (t) => {
  const path = directory(t);
  mkdirSync(join(path, 'real'));
  secretIn(join(path, 'real'));
  symlinkSync('real', join(path, 'theirs'));
  execFileSync('chown', ['-h', String(OTHER_UID), join(path, 'theirs')]);
  assert.equal(read(join(path, 'theirs/value')), `secret_not_private PATH is behind the link "theirs", which is owned by user ${OTHER_UID}`);
});

test('links in a circle end', { skip: asRoot }, (t) => {
  const path = directory(t);
  symlinkSync('two', join(path, 'one'));
  symlinkSync('one', join(path, 'two'));
  assert.match(read(join(path, 'one/value')), /^secret_not_readable PATH is behind links that can't be followed/);
});

test('what is no regular file is refused at once', async (t) => {
  const path = directory(t);
  mkdirSync(join(path, 'directory'));
  execFileSync('mkfifo', [join(path, 'pipe')]);
  const server = createServer().listen(join(path, 'socket'));
  await once(server, 'listening');
  t.after(() => server.close());
  assert.equal(read(join(path, 'directory')), 'secret_not_readable PATH is a directory, expected a regular file');
  assert.equal(read(join(path, 'pipe')), 'secret_not_readable PATH is a pipe, expected a regular file');
  assert.equal(read(join(path, 'socket')), 'secret_not_readable PATH is no regular file');
  assert.equal(read('/dev/null'), 'secret_not_readable PATH is a device, expected a regular file');
});

test('a file of another user is refused; one of root is not, whoever calls', { skip: asRoot }, (t) => {
  const path = secretIn(directory(t));
  assert.equal(read(path, 1000), CANARY);
  chownSync(path, OTHER_UID, 0);
  assert.equal(read(path), `secret_not_private PATH is owned by user ${OTHER_UID}`);
  assert.equal(read(path, OTHER_UID), CANARY);
});

test('a file at the limit is read, and one above is refused by its size', (t) => {
  const path = secretIn(directory(t), 0o600);
  writeFileSync(path, Buffer.alloc(SECRET_MAX_BYTES, 'x'));
  assert.equal(read(path).length, SECRET_MAX_BYTES);
  writeFileSync(path, Buffer.alloc(SECRET_MAX_BYTES + 1, 'x'));
  assert.equal(read(path), `value_too_large PATH is ${SECRET_MAX_BYTES + 1} bytes; a secret has at most ${SECRET_MAX_BYTES}`);
});

test('bytes arrive as they are', (t) => {
  const path = secretIn(directory(t), 0o600);
  const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
  writeFileSync(path, bytes);
  assert.deepEqual(Buffer.from(readSecretFile('secret "a"', path, UID).reveal()), bytes);
});

test('a hard link and a file that was taken away while it was read are no way around the checks', (t) => {
  const path = directory(t);
  const value = secretIn(path, 0o604);
  linkSync(value, join(path, 'second'));
  assert.match(read(join(path, 'second')), /^secret_not_private PATH has mode 0604$/);
  unlinkSync(value);
  assert.match(read(value), /^secret_not_found/);
});

test('what the service manager put into its directory is taken as it is, and absent where there is none', (t) => {
  const path = directory(t);
  const value = secretIn(path, 0o444);
  assert.equal(Buffer.from(readCredentialFile('secret "a"', value)?.reveal() ?? []).toString(), CANARY);
  assert.equal(readCredentialFile('secret "a"', join(path, 'no')), undefined);
  assert.throws(() => readCredentialFile('secret "a"', path), /is a directory, expected a regular file/);
});
