import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { UserdataResult } from '../../src/wire/protocol.ts';
import { name, rootOnly, startGuest, value, type Guest } from './guest-fixture.ts';

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

test('userdata waits when the first sync fails, and runs with its secrets in place when one has succeeded', async (context) => {
  let isClaimed = false;
  let ended: (result: UserdataResult) => void = () => undefined;
  const result = new Promise<UserdataResult>((resolve) => (ended = resolve));
  const guest = await startGuest(context, {
    tmpfs: 'size=128k',
    vm: {
      userdata: Buffer.from('cd "${0%.agent/*}" && ls && cat large'),
      onUserdataClaimed: async () => void (isClaimed = true),
      onUserdataResult: async (told) => ended(told),
    },
  });
  await guest.store.create(name('large'), value(Buffer.alloc(200 * 1024, 1)), rootOnly);
  await guest.store.create(name('small'), value('small'), rootOnly);
  void guest.agent(['run']);
  await untilFailed(guest);
  const { status, stderr } = await guest.agent(['secrets', 'sync']);
  assert.deepEqual([status, stderr], [1, 'slicer-agent: error: large: write: No space left on device\n']);
  assert.equal(isClaimed, false);
  await guest.store.update(name('large'), { value: value('now it fits') });
  assert.deepEqual(await result, { exit_code: 0, output: 'large\nsmall\nnow it fits' });
});

/** Resolves when the host sees that the secret `large` could not be written. */
function untilFailed({ vm }: Guest): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (vm.status().deliveries.find((delivery) => delivery.name === 'large')?.error?.code === 'ENOSPC') resolve();
    };
    vm.onStatus(check);
    check();
  });
}
