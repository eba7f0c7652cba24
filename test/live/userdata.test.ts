import assert from 'node:assert/strict';
import { test } from 'node:test';
import { USERDATA_OUTPUT_MAX_BYTES, type UserdataResult } from '../../src/wire/protocol.ts';
import { HostConnection } from './host-connection.ts';
import { bench } from './live-vm.ts';

const SCRIPT = Buffer.from('#!/bin/sh\necho done\n');

test('userdata is handed out once, after the claim is on record', async (t) => {
  const order: string[] = [];
  const { agent } = await bench(t, { userdata: SCRIPT, onUserdataClaimed: async () => void order.push('claimed') });
  await agent.establish();
  const { status, body } = await agent.request('POST /v1/userdata');
  order.push('received');
  assert.equal(status, 200);
  assert.deepEqual(body, SCRIPT);
  assert.deepEqual(order, ['claimed', 'received']);
  assert.equal((await agent.request('POST /v1/userdata')).status, 204);
  await agent.establish();
  assert.equal((await agent.request('POST /v1/userdata')).status, 204);
});

test('of two requests at the same time one gets the script', async (t) => {
  const { agent, device } = await bench(t, { userdata: SCRIPT });
  await agent.establish();
  const other = new HostConnection(await device.dialHost());
  const answers = await Promise.all([
    agent.request('POST /v1/userdata'), other.request('POST /v1/userdata', { Authorization: `Bearer ${agent.sessionKey}` }),
  ]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 204]);
});

test('a claim that cannot be recorded keeps the script on the host, for the next attempt', async (t) => {
  let full = true;
  const { agent, log } = await bench(t, {
    userdata: SCRIPT,
    onUserdataClaimed: async () => {
      if (full) throw new Error('canary of the disk');
    },
  });
  await agent.establish();
  const { status, body } = await agent.request('POST /v1/userdata');
  assert.equal(status, 500);
  assert.ok(!body.includes('echo'));
  assert.ok(!body.includes('canary'));
  assert.equal(log.filter((line) => line.startsWith('warn')).length, 1);
  full = false;
  assert.equal((await agent.request('POST /v1/userdata')).status, 200);
});

test('a VM without userdata gets none', async (t) => {
  const { agent } = await bench(t);
  await agent.establish();
  assert.equal((await agent.request('POST /v1/userdata')).status, 204);
});

test('the first result counts, cleaned and bounded', async (t) => {
  const results: UserdataResult[] = [];
  const { agent } = await bench(t, { userdata: SCRIPT, onUserdataResult: async (result) => void results.push(result) });
  await agent.establish();
  const output = `\x1b]0;title\x07line\n\ttab\r\n${'y'.repeat(2 * USERDATA_OUTPUT_MAX_BYTES)}end`;
  assert.equal((await agent.request('PUT /v1/userdata', {}, { exit_code: 3, output })).status, 204);
  assert.equal((await agent.request('PUT /v1/userdata', {}, { exit_code: 0, output: '' })).status, 204);
  assert.equal(results.length, 1);
  assert.equal(results[0]?.exit_code, 3);
  assert.equal(results[0]?.output.length, USERDATA_OUTPUT_MAX_BYTES);
  assert.ok(results[0]?.output.endsWith('end'));
});

test('a result that could not be recorded may be sent again', async (t) => {
  let attempts = 0;
  const { agent } = await bench(t, {
    onUserdataResult: async () => {
      attempts += 1;
      if (attempts === 1) throw new Error('full');
    },
  });
  await agent.establish();
  const put = () => agent.request('PUT /v1/userdata', {}, { exit_code: 0, output: '' });
  assert.equal((await put()).status, 500);
  assert.equal((await put()).status, 204);
  assert.equal(attempts, 2);
});

for (const body of [{ exit_code: -1, output: '' }, { exit_code: 256, output: '' }, { exit_code: 1.5, output: '' }, { exit_code: 1 }, { output: '' }]) {
  test(`the result ${JSON.stringify(body)} is answered 400`, async (t) => {
    const { agent } = await bench(t);
    await agent.establish();
    assert.equal((await agent.request('PUT /v1/userdata', {}, body)).status, 400);
  });
}
