import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachBody, launchBody, launchQuery } from '../../src/api/nodes.ts';
import { problemsOf } from '../../src/api/problems.ts';
import { logsQuery } from '../../src/api/vm.ts';
import { USERDATA_MAX_BYTES } from '../../src/wire/protocol.ts';

test('a launch may say nothing: absent secrets are not the same as none', () => {
  assert.deepEqual(launchBody.parse({}), {});
  assert.deepEqual(launchBody.parse({ secrets: [] }), { secrets: [] });
});

test('a launch takes what public clients send, with what they leave empty', () => {
  const body = { cpus: 2, ram_bytes: 1 << 30, userdata: '#!/bin/sh\n', tags: ['team=blue'], secrets: ['api-key'], persistent: false, ssh_keys: [], ip: '', gpu_count: 0, import_user: '' };
  const { secrets, cpus } = launchBody.parse(body);
  assert.deepEqual([secrets, cpus], [['api-key'], 2]);
});

for (const [what, body, message] of [
  ['a field that is not supported', { persistent: true }, 'persistent is not supported'],
  ['a misspelt grant, which would mean all', { secret: ['a'] }, 'unknown field "secret"'],
  ['a grant of null', { secrets: null }, 'secrets must be a list of secret names'],
  ['a bad name in a grant', { secrets: ['a', ''] }, 'secrets[1] must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot'],
  ['no CPUs', { cpus: 0 }, 'cpus must be a whole number from 1 to 255'],
  ['half a byte', { ram_bytes: 0.5 }, 'ram_bytes must be a whole number of bytes'],
  ['an escape sequence as tag', { tags: ['\u001b[2J'] }, 'tags[0] must be 1 to 128 printable characters'],
  ['userdata that is too long', { userdata: 'é'.repeat(USERDATA_MAX_BYTES / 2 + 1) }, `userdata must be a script of at most ${USERDATA_MAX_BYTES} bytes`],
] as const) {
  test(`a launch with ${what} is refused`, () => {
    const result = launchBody.safeParse(body);
    assert.ok(!result.success);
    assert.deepEqual(problemsOf(result.error).map((problem) => problem.message), [message]);
  });
}

test('a launch waits for the agent or for userdata, for a duration', () => {
  assert.deepEqual(launchQuery.parse({ wait: 'agent', timeout: '1m' }), { wait: 'agent', timeout: 60_000 });
  assert.ok(!launchQuery.safeParse({ wait: 'boot' }).success);
});

for (const [vsock, isTaken] of [
  ['/run/vm/vm.vsock', true], ['vm.vsock', false], ['/run/\0', false], [`/${'x'.repeat(100)}`, true], [`/${'x'.repeat(101)}`, false],
] as const) {
  test(`attaching ${isTaken ? 'takes' : 'refuses'} the socket ${JSON.stringify(vsock.slice(0, 20))} of ${vsock.length} bytes`, () => {
    assert.equal(attachBody.safeParse({ hostname: 'db', vsock }).success, isTaken);
  });
}

for (const [hostname, isTaken] of [['db', true], ['a'.repeat(63), true], ['a'.repeat(64), false], ['-a', false], ['a-', false], ['A', false], ['a.b', false], ['', false], ['../x', false]] as const) {
  test(`attaching ${isTaken ? 'takes' : 'refuses'} the name ${JSON.stringify(hostname)}`, () => {
    assert.equal(attachBody.safeParse({ hostname, vsock: '/x' }).success, isTaken);
  });
}

test('log lines are counted from 0, for all', () => {
  assert.deepEqual(logsQuery.parse({ lines: '0' }), { lines: 0 });
  for (const lines of ['-1', '1.5', '', 'all', '99999999']) assert.ok(!logsQuery.safeParse({ lines }).success);
});
