import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_ATTRIBUTES, formatPermissions, ID_MAX, isId, parsePermissions } from '../../src/secret/file-attributes.ts';

test('permissions come back as they were, with or without the leading zero', () => {
  for (let mode = 0; mode <= 0o777; mode += 1) {
    const text = formatPermissions(mode);
    assert.match(text, /^0[0-7]{3}$/);
    assert.equal(parsePermissions(text), mode);
    assert.equal(parsePermissions(text.slice(1)), mode);
  }
});

test('setuid, setgid and sticky bits, and all that is not three octal digits, are no permissions', () => {
  for (const text of ['', '0', '60', '06000', '00600', '4755', '2755', '1777', '0888', '0o600', '0x180', '600 ', ' 600', '600\n', '-600', '6e2', 'rw-', '٦٠٠']) {
    assert.equal(parsePermissions(text), undefined, JSON.stringify(text));
  }
  fc.assert(fc.property(fc.string(), (text) => {
    const mode = parsePermissions(text);
    assert.ok(mode === undefined || (mode >= 0 && mode <= 0o777));
  }));
});

test('ids are the whole numbers from 0 to 4294967294', () => {
  for (const id of [0, 1, 1000, 65534, 2 ** 31, ID_MAX]) assert.ok(isId(id), String(id));
  for (const id of [-1, 0.5, ID_MAX + 1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) assert.ok(!isId(id), String(id));
});

test('a secret is root\'s and closed to others unless something else is asked for', () => {
  assert.deepEqual(DEFAULT_ATTRIBUTES, { mode: 0o600, uid: 0, gid: 0 });
});
