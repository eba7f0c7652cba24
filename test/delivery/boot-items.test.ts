import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeBootItems } from '../../src/delivery/boot-items.ts';
import { encodeOemStrings } from '../../src/delivery/oem-strings.ts';
import { Secret } from '../../src/secret/secret.ts';

const credential = (name: string, value: string | Uint8Array) => ({ name, value: new Secret(typeof value === 'string' ? Buffer.from(value) : value) });
const bytesOf = (secret: Secret): string => Buffer.from(secret.reveal()).toString('latin1');

test('SMBIOS gets whole strings: credentials in their order, static strings after them as they are', () => {
  const credentials = [credential('slicer.boot-token', 'token'), credential('A', 'a\0b')];
  const items = encodeBootItems('smbios', credentials, ['static: ü']);
  assert.deepEqual(items.map(({ form }) => form), ['oem-string', 'oem-string', 'oem-string']);
  assert.deepEqual(items.map(({ value }) => bytesOf(value)), [
    ...encodeOemStrings(credentials).map(bytesOf), Buffer.from('static: ü').toString('latin1'),
  ]);
});

test('fw_cfg gets the bytes as they are, each under the name that systemd looks for', () => {
  fc.assert(fc.property(fc.stringMatching(/^[a-z.]{1,28}$/), fc.uint8Array({ maxLength: 200 }), (name, bytes) => {
    const [item] = encodeBootItems('fw-cfg', [credential(name, bytes)]);
    assert.ok(item?.form === 'fw-cfg');
    assert.equal(item.name, `opt/io.systemd.credentials/${name}`);
    assert.deepEqual(item.value.reveal(), bytes);
  }));
});

test('without a boot channel there is nothing to hand over', () => {
  assert.deepEqual(encodeBootItems(undefined, [credential('A', 'a')], ['x']), []);
});
