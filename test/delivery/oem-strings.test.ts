import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { credentialValue, encodeOemStrings, oemStringBytes } from '../../src/delivery/oem-strings.ts';
import { Secret } from '../../src/secret/secret.ts';

const ascii = (text: string): Secret => new Secret(Buffer.from(text));
const textOf = (secret: Secret | undefined): string => Buffer.from(secret?.reveal() ?? []).toString('latin1');

test('a boot token is the OEM string that systemd documents', () => {
  const token = '0123456789abcdef'.repeat(4);
  const [string] = encodeOemStrings([{ name: 'slicer.boot-token', value: ascii(token) }]);
  assert.equal(
    textOf(string),
    'io.systemd.credential.binary:slicer.boot-token='
      + 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==',
  );
});

const credentialNames = fc.stringMatching(/^[A-Za-z0-9_. -]{1,40}$/);

test('any bytes come back from the string exactly, under their name, and the string is as long as was said', () => {
  fc.assert(fc.property(credentialNames, fc.uint8Array({ maxLength: 2000 }), (name, bytes) => {
    const [string] = encodeOemStrings([{ name, value: new Secret(bytes) }]);
    const text = textOf(string);
    assert.equal(text.length, oemStringBytes(name, bytes.byteLength));
    assert.doesNotMatch(text, /[\0\n,]/);
    const [prefix, ...rest] = text.split(':');
    assert.equal(prefix, 'io.systemd.credential.binary');
    const [decodedName, encoded = ''] = rest.join(':').split(/=(.*)/s);
    assert.equal(decodedName, name);
    assert.match(encoded, /^[A-Za-z0-9+/]*={0,2}$/);
    assert.deepEqual(new Uint8Array(Buffer.from(encoded, 'base64')), bytes);
  }));
});

test('a newline at the end stays unless it is to be left out, and then one of them, and no other', () => {
  for (const [value, trimmed] of [
    ['key\n', 'key'], ['key\n\n', 'key\n'], ['\n', ''], ['', ''], ['key', 'key'], ['\nkey', '\nkey'], ['a\nb', 'a\nb'], ['key\r\n', 'key\r'],
    ['key\n\0', 'key\n\0'],
  ] as const) {
    assert.equal(textOf(credentialValue({ trimNewline: true }, ascii(value))), trimmed);
    assert.equal(textOf(credentialValue({ trimNewline: false }, ascii(value))), value);
  }
});
