import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { UserdataResult } from '../../src/wire/protocol.ts';
import { startGuest } from './guest-fixture.ts';

/** On a /run as Debian and Ubuntu mount it. */
async function outcomeOf(context: TestContext, script: string): Promise<UserdataResult> {
  let ended: (result: UserdataResult) => void = () => undefined;
  const result = new Promise<UserdataResult>((resolve) => (ended = resolve));
  const guest = await startGuest(context, {
    tmpfs: 'nosuid,nodev,noexec', vm: { userdata: Buffer.from(script), onUserdataResult: async (told) => ended(told) },
  });
  await guest.run();
  return result;
}

const scripts: readonly [string, string, UserdataResult][] = [
  ['without a first line of its own is the shell\'s', 'echo plain; exit 3', { exit_code: 3, output: 'plain\n' }],
  ['runs by the program that its first line names', '#!/bin/sh\necho named', { exit_code: 0, output: 'named\n' }],
  ['passes on one argument of its first line', '#! /bin/sh -eu \nfalse\necho never', { exit_code: 1, output: '' }],
  ['may name env', '#!/usr/bin/env sh\necho $((6 * 7))', { exit_code: 0, output: '42\n' }],
];
for (const [how, script, expected] of scripts) {
  test(`userdata ${how}, where nothing in /run may be executed`, async (context) => {
    assert.deepEqual(await outcomeOf(context, script), expected);
  });
}

test('userdata whose program is not there says so', async (context) => {
  const { exit_code: exitCode, output } = await outcomeOf(context, '#!/no/such/program\n');
  assert.equal(exitCode, 126);
  assert.match(output, /No such file/);
});
