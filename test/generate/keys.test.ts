// Keys are read back by the programs that they are for.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { makeValues } from '../../src/generate/make.ts';
import type { Secret } from '../../src/secret/secret.ts';
import { generatorOf, hostIn, lacks, run, temporaryDirectory, textOf } from './generate-fixture.ts';

const directory = temporaryDirectory();
const DAY_MS = 24 * 60 * 60 * 1000;

type Values = ReadonlyMap<string, Secret>;
const make = (generators: string, dependencies: ReadonlyMap<string, Values> = new Map(), nowMs = Date.now()): Promise<Values> =>
  makeValues({ generator: generatorOf(generators), subject: 'web', dependencies, prompts: new Map() }, hostIn(directory, { nowMs: () => nowMs }));

/** The values as files, and the path of one by its name. */
function files(name: string, values: Values): (file: string) => string {
  mkdirSync(join(directory, name));
  for (const [file, value] of values) writeFileSync(join(directory, name, file), value.reveal(), { mode: 0o600 });
  return (file) => join(directory, name, file);
}

test('ssh-keygen reads both halves of an SSH key, and they are of one key', { skip: lacks('ssh-keygen', 'openssh-client') }, async () => {
  const path = files('ssh', await make('{login: {kind: ssh-ed25519}}'));
  const [publicKey] = run('ssh-keygen', ['-y', '-f', path('key')]).split('\n');
  assert.equal(run('cat', [path('key.pub')]), `${publicKey}\n`);
  assert.match(publicKey as string, /^ssh-ed25519 \S+ login@web$/);
  const signature = run('ssh-keygen', ['-Y', 'sign', '-f', path('key'), '-n', 'test', '-q', '-'], 'text');
  writeFileSync(path('signature'), signature);
  writeFileSync(path('signers'), `me ${publicKey}\n`);
  assert.match(run('ssh-keygen', ['-Y', 'verify', '-f', path('signers'), '-I', 'me', '-n', 'test', '-s', path('signature')], 'text'), /^Good "test" signature/);
});

test('the comment of an SSH key is what was asked for', async () => {
  assert.match(textOf((await make('{g: {kind: ssh-ed25519, comment: backup of web}}')).get('key.pub')), / backup of web\n$/);
});

test('age encrypts to the recipient, and decrypts with the identity', { skip: lacks('age', 'age') }, async () => {
  const path = files('age', await make('{g: {kind: age}}'));
  const recipient = run('age-keygen', ['-y', path('identity')]);
  assert.equal(run('cat', [path('recipient')]), recipient);
  const sealed = run('age', ['-a', '-r', recipient.trimEnd()], 'text');
  assert.equal(run('age', ['-d', '-i', path('identity')], sealed), 'text');
});

test('openssl makes the same public key of a WireGuard key, whose bits are set as wg sets them', { skip: lacks('openssl', 'openssl') }, async () => {
  const values = await make('{g: {kind: wireguard}}');
  const scalar = Buffer.from(textOf(values.get('private-key')).trimEnd(), 'base64');
  assert.equal(scalar.length, 32);
  assert.deepEqual([(scalar[0] as number) & 7, (scalar[31] as number) >> 6], [0, 1]);
  const path = join(directory, 'wireguard.der');
  writeFileSync(path, Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]));
  const text = run('openssl', ['pkey', '-inform', 'DER', '-in', path, '-pubout', '-outform', 'PEM']);
  const publicKey = Buffer.from(text.replace(/-.*-|\n/g, ''), 'base64').subarray(-32).toString('base64');
  assert.equal(textOf(values.get('public-key')), `${publicKey}\n`);
});

test('openssl verifies a certificate through two CAs, its key, and the names and addresses it is for', { skip: lacks('openssl', 'openssl') }, async () => {
  const ca = await make('{g: {kind: x509, isCa: true, commonName: \'Our CA, of "us"\'}}');
  const middle = await make('{ca: {kind: x509, isCa: true}, g: {kind: x509, isCa: true, signedBy: ca}}', new Map([['ca', ca]]));
  const leaf = await make('{ca: {kind: x509, isCa: true}, g: {kind: x509, signedBy: ca, names: [db.example, "*.web.example", 10.0.0.1, "fe80::1"]}}', new Map([['ca', middle]]));
  assert.deepEqual([...leaf.keys()], ['key.pem', 'cert.pem', 'ca.pem']);
  const path = files('leaf', leaf);
  for (const [flag, value] of [['-verify_hostname', 'db.example'], ['-verify_hostname', 'a.web.example'], ['-verify_ip', '10.0.0.1'], ['-verify_ip', 'fe80::1']] as const) {
    assert.match(run('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', path('ca.pem'), flag, value, path('cert.pem')]), /: OK\n$/);
  }
  assert.throws(() => run('openssl', ['verify', '-CAfile', path('ca.pem'), '-verify_hostname', 'other.example', path('cert.pem')]));
  assert.equal(run('openssl', ['x509', '-in', path('cert.pem'), '-pubkey', '-noout']), run('openssl', ['pkey', '-in', path('key.pem'), '-pubout']));
  assert.equal(new X509Certificate(textOf(ca.get('cert.pem'))).subject, 'CN=Our CA\\, of \\"us\\"');
  assert.equal(textOf(leaf.get('ca.pem')).match(/BEGIN CERTIFICATE/g)?.length, 2);
});

test('a certificate that signs itself is for its machine, and is no CA', async () => {
  const values = await make('{g: {kind: x509}}');
  const certificate = new X509Certificate(textOf(values.get('cert.pem')));
  assert.deepEqual([certificate.subject, certificate.issuer, certificate.subjectAltName, certificate.ca], ['CN=web', 'CN=web', 'DNS:web', false]);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.ok(!values.has('ca.pem'));
});

test('a lifetime is counted from now, and none outlives its CA', async () => {
  const nowMs = Date.UTC(2030, 0, 1);
  const ends = (values: Values): number => Date.parse(new X509Certificate(textOf(values.get('cert.pem'))).validTo);
  const ca = await make('{g: {kind: x509, isCa: true, lifetimeDays: 10}}', new Map(), nowMs);
  assert.equal(ends(ca), nowMs + 10 * DAY_MS);
  const signed = (days: number, atMs: number): Promise<Values> =>
    make(`{ca: {kind: x509, isCa: true}, g: {kind: x509, signedBy: ca, lifetimeDays: ${days}}}`, new Map([['ca', ca]]), atMs);
  assert.equal(ends(await signed(3, nowMs)), nowMs + 3 * DAY_MS);
  assert.equal(ends(await signed(30, nowMs)), nowMs + 10 * DAY_MS);
  await assert.rejects(signed(3, nowMs + 11 * DAY_MS), (error: unknown) =>
    error instanceof SlicerError && error.message === 'the certificate of the CA that is to sign ended on 2030-01-11');
});

test('a CA whose key is damaged is refused without a byte of it', async () => {
  const ca = await make('{g: {kind: x509, isCa: true}}');
  const damaged = new Map([...ca, ['key.pem', (await make('{g: {kind: random}}')).get('value') as Secret]]);
  await assert.rejects(make('{ca: {kind: x509, isCa: true}, g: {kind: x509, signedBy: ca}}', new Map([['ca', damaged]])), (error: unknown) =>
    error instanceof SlicerError && error.message === 'the CA that is to sign has no key and certificate on P-256 in key.pem and cert.pem');
});
