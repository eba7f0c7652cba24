import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeOemStrings } from '../../src/delivery/oem-strings.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { Secret } from '../../src/secret/secret.ts';

const ascii = (text: string): Secret => new Secret(Buffer.from(text));
const zeros = (sizeBytes: number): Secret => new Secret(new Uint8Array(sizeBytes));
const codes = (run: () => unknown): string[] => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SlicerError);
    return error.problems.map(({ code }) => code);
  }
  return [];
};

test('a boot token is the OEM string that systemd documents', () => {
  const token = '0123456789abcdef'.repeat(4);
  const [string] = encodeOemStrings('web-1', [{ name: 'slicer.boot-token', value: ascii(token) }]);
  assert.equal(
    Buffer.from(string!.reveal()).toString(),
    'io.systemd.credential.binary:slicer.boot-token='
      + 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==',
  );
});

test('any bytes come back from the string exactly', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
    const [string] = encodeOemStrings('web-1', [{ name: 'key', value: new Secret(bytes) }]);
    const text = Buffer.from(string!.reveal()).toString('latin1');
    assert.match(text, /^io\.systemd\.credential\.binary:key=[A-Za-z0-9+/]*=*$/);
    assert.deepEqual(new Uint8Array(Buffer.from(text.slice(text.indexOf('=') + 1), 'base64')), bytes);
  }));
});

test('a name that systemd does not take is refused', () => {
  for (const name of ['', '.', '..', 'a/b', 'a:b', 'a\0b', 'x'.repeat(256), 'ä'.repeat(128)]) {
    assert.deepEqual(codes(() => encodeOemStrings('web-1', [{ name, value: ascii('v') }])), ['invalid_name'], name);
  }
  for (const name of ['a', 'x'.repeat(255), 'slicer.boot-token', '...']) {
    assert.deepEqual(codes(() => encodeOemStrings('web-1', [{ name, value: ascii('v') }])), [], name);
  }
});

test('the table is filled to its last byte and not one further', () => {
  // "io.systemd.credential.binary:" and "k=" are 31 bytes; 48,876 bytes are 65,168 in base64.
  const fits = encodeOemStrings('web-1', [{ name: 'k', value: zeros(48_876) }]);
  assert.equal(fits[0]!.sizeBytes, 65_199);
  assert.deepEqual(codes(() => encodeOemStrings('web-1', [{ name: 'kk', value: zeros(48_876) }])), []);
  assert.deepEqual(codes(() => encodeOemStrings('web-1', [{ name: 'kkk', value: zeros(48_876) }])), ['value_too_large']);
});

test('255 strings fit and 256 do not', () => {
  const credentials = Array.from({ length: 256 }, (_, index) => ({ name: `n${index}`, value: ascii('v') }));
  assert.equal(encodeOemStrings('web-1', credentials.slice(0, 255)).length, 255);
  assert.deepEqual(codes(() => encodeOemStrings('web-1', credentials)), ['value_too_large']);
});

test('all problems are reported at once, with names and sizes and without a value', () => {
  const canary = 'canary-'.repeat(160_000);
  assert.throws(
    () => encodeOemStrings('web-1', [{ name: 'a/b', value: ascii('v') }, { name: 'big', value: ascii(canary) }]),
    (error: SlicerError) => {
      assert.deepEqual(error.problems.map(({ message }) => message), [
        'credential name "a/b" is not a file name of 1 to 255 bytes without ":"',
        'credential "big" is 1120000 bytes; systemd takes 1048576',
        'the credentials of vm "web-1" are 1493407 bytes as OEM strings; its table has 65200',
      ]);
      return true;
    },
  );
});
