import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { problemsOf } from '../../src/api/problems.ts';
import { changeQuery, createSecretBody, secretPath, updateSecretBody } from '../../src/api/secrets.ts';
import { SECRET_MAX_BYTES } from '../../src/secret/secret.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const CANARY = 'cAnArY-7f3a';

test('a secret is created 0600 and owned by root unless the request says otherwise', () => {
  const { name, value, attributes } = createSecretBody.parse({ name: 'api-key', data: base64('my-api-key\n') });
  assert.equal(name, 'api-key');
  assert.equal(Buffer.from(value.reveal()).toString(), 'my-api-key\n');
  assert.deepEqual(attributes, { mode: 0o600, uid: 0, gid: 0 });
});

test('a secret may be empty, and as large as 1 MiB', () => {
  assert.equal(createSecretBody.parse({ name: 'a', data: '' }).value.sizeBytes, 0);
  const largest = Buffer.alloc(SECRET_MAX_BYTES).toString('base64');
  assert.equal(createSecretBody.parse({ name: 'a', data: largest }).value.sizeBytes, SECRET_MAX_BYTES);
});

test('owners reach over the whole range of ids', () => {
  const { attributes } = createSecretBody.parse({ name: 'a', data: '', permissions: '777', uid: 4294967294, gid: 4294967294 });
  assert.deepEqual(attributes, { mode: 0o777, uid: 4294967294, gid: 4294967294 });
});

const refusals: readonly [string, unknown, string[]][] = [
  ['a name with a slash', { name: '../x', data: '' }, ['invalid_name']],
  ['a hidden name', { name: '.x', data: '' }, ['invalid_name']],
  ['no name', { data: '' }, ['invalid_name']],
  ['no data', { name: 'a' }, ['invalid_base64']],
  ['data that is no text', { name: 'a', data: 5 }, ['invalid_base64']],
  ['data that is no base64', { name: 'a', data: CANARY }, ['invalid_base64']],
  ['a value that is too large', { name: 'a', data: Buffer.alloc(SECRET_MAX_BYTES + 1).toString('base64') }, ['value_too_large']],
  ['setuid', { name: 'a', data: '', permissions: '4755' }, ['invalid_permissions']],
  ['a mode that is no text', { name: 'a', data: '', permissions: 600 }, ['invalid_permissions']],
  ['an owner below 0', { name: 'a', data: '', uid: -1 }, ['invalid_owner']],
  ['the kernel\'s "no id"', { name: 'a', data: '', gid: 4294967295 }, ['invalid_owner']],
  ['an owner that is text', { name: 'a', data: '', uid: '0' }, ['invalid_owner']],
  ['a fraction as owner', { name: 'a', data: '', uid: 0.5 }, ['invalid_owner']],
  ['an unknown field', { name: 'a', data: '', permision: '0600' }, ['invalid_request']],
  ['a list', [], ['invalid_request']],
  ['nothing', null, ['invalid_request']],
  ['several mistakes at once', { name: '.', data: '?', permissions: '9', uid: -1, gid: 1.5 },
    ['invalid_name', 'invalid_base64', 'invalid_permissions', 'invalid_owner', 'invalid_owner']],
];

for (const [what, body, codes] of refusals) {
  test(`creating refuses ${what}, and does not repeat what it was given`, () => {
    const result = createSecretBody.safeParse(body);
    assert.ok(!result.success);
    const problems = problemsOf(result.error);
    assert.deepEqual(problems.map(({ code }) => code), codes);
    assert.ok(!JSON.stringify(problems).includes(CANARY));
    for (const { message } of problems) assert.match(message, /^[a-z]/);
  });
}

test('a problem names the field and the rule', () => {
  const result = createSecretBody.safeParse({ name: 'a', data: '', uid: 'me' });
  assert.ok(!result.success);
  assert.deepEqual(problemsOf(result.error), [{ code: 'invalid_owner', message: 'uid must be a whole number from 0 to 4294967294' }]);
});

test('no input, however wrong, comes back in a problem', () => {
  fc.assert(fc.property(fc.constantFrom('name', 'data', 'permissions', 'uid', 'gid'), (field) => {
    const result = createSecretBody.safeParse({ name: 'a', data: '', [field]: `${CANARY}!` });
    assert.ok(!result.success);
    assert.ok(!JSON.stringify(problemsOf(result.error)).includes(CANARY));
  }));
});

const changes: readonly [string, unknown, object][] = [
  ['a new value', { data: base64('x') }, { value: 'x' }],
  ['a mode alone', { permissions: '0644' }, { mode: 0o644 }],
  ['an empty value beside a mode keeps the value', { data: '', permissions: '0644', uid: 1001, gid: 1001 }, { mode: 0o644, uid: 1001, gid: 1001 }],
  ['an empty value where it is allowed', { data: '', allow_empty: true }, { value: '' }],
  ['an empty value beside a mode where it is allowed', { data: '', allow_empty: true, uid: 0 }, { value: '', uid: 0 }],
  ['a value and an owner', { data: base64('x'), gid: 5 }, { value: 'x', gid: 5 }],
];
for (const [what, body, expected] of changes) {
  test(`updating takes ${what}`, () => {
    const { value, ...rest } = updateSecretBody.parse(body);
    assert.deepEqual({ ...(value === undefined ? {} : { value: Buffer.from(value.reveal()).toString() }), ...rest }, expected);
  });
}

for (const [what, body, code] of [
  ['nothing', {}, 'invalid_request'],
  ['an empty value alone', { data: '' }, 'empty_value'],
  ['an empty value that is not allowed', { data: '', allow_empty: false }, 'empty_value'],
  ['only leave to empty it', { allow_empty: true }, 'invalid_request'],
  ['a name', { name: 'b', data: 'QQ==' }, 'invalid_request'],
] as const) {
  test(`updating refuses ${what}`, () => {
    const result = updateSecretBody.safeParse(body);
    assert.ok(!result.success);
    assert.deepEqual(problemsOf(result.error).map((problem) => problem.code), [code]);
  });
}

test('the name in a path is held to the rule', () => {
  assert.equal(secretPath.parse({ name: 'tls.key_1-a' }).name, 'tls.key_1-a');
  assert.ok(!secretPath.safeParse({ name: '..' }).success);
});

test('a wait is a duration', () => {
  assert.deepEqual(changeQuery.parse({ wait: '30s' }), { wait: 30_000 });
  assert.deepEqual(changeQuery.parse({}), {});
  assert.ok(!changeQuery.safeParse({ wait: '30' }).success);
  assert.ok(!changeQuery.safeParse({ wait: ['1s', '2s'] }).success);
  assert.ok(!changeQuery.safeParse({ wiat: '30s' }).success);
});
