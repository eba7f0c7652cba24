import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { startLiveVm } from '../../src/live/live-vm.ts';
import { bench, dependencies, until } from './live-vm.ts';
import { HostConnection } from './host-connection.ts';
import { WireAgent } from './wire-agent.ts';

const TOKEN = 'ab'.repeat(32);

for (const bootToken of [undefined, TOKEN]) {
  test(`an agent that asks gets a session and its secrets, ${bootToken ? 'with' : 'without'} a boot token`, async (t) => {
    const { store, agent, vm } = await bench(t, bootToken === undefined ? {} : { bootToken });
    store.set('api-key', 'one', { mode: 0o640, uid: 1000, gid: 4000000000 });
    await agent.establish();
    assert.equal(await agent.sync(), 200);
    assert.deepEqual([...agent.held], [['api-key', { mode: 0o640, uid: 1000, gid: 4000000000, bytes: Buffer.from('one') }]]);
    assert.equal(await agent.sync(), 304);
    assert.equal(vm.status().deliveries[0]?.state, 'current');
  });
}

test('the socket that the guest reaches is for its owner alone', async (t) => {
  const { vsockPath } = await bench(t);
  assert.equal(statSync(`${vsockPath}_901`).mode & 0o777, 0o600);
});

for (const [what, agentToken] of [['another boot token', 'cd'.repeat(32)], ['no boot token', '']] as const) {
  test(`an agent with ${what} gets no session, and the status says why`, async (t) => {
    const { agent, vm } = await bench(t, { bootToken: TOKEN, agentToken });
    const refused = until(vm, () => vm.status().errors.length > 0);
    void agent.establish().catch(() => {});
    await refused;
    assert.deepEqual(vm.status().errors.map(({ code }) => code), ['agent_protocol']);
    assert.match(vm.status().errors[0]?.message ?? '', /boot token/);
    assert.equal(agent.sessionKey, undefined);
  });
}

test('an agent that wants no session is offered none, and keeps the one it has', async (t) => {
  const { agent, device } = await bench(t);
  await agent.establish();
  const key = agent.sessionKey;
  // Somebody else in the guest says hello.
  const stranger = new HostConnection(await device.dialHost());
  const asked = agent.requested.length;
  const challenged = agent.saw('POST /v1/challenge');
  assert.equal((await stranger.request('POST /v1/hello')).status, 202);
  await challenged;
  assert.equal((await agent.request('GET /v1/secrets')).status, 200);
  assert.equal(agent.sessionKey, key);
  assert.deepEqual(agent.requested.slice(asked).filter((line) => line.includes('session')), []);
});

const secretRequests = ['GET /v1/secrets', 'GET /v1/secrets?wait', 'POST /v1/report', 'POST /v1/userdata', 'PUT /v1/userdata', 'GET /', 'GET /v1/hello'];
for (const line of secretRequests) {
  test(`${line} is 401 without the session key, with a wrong one and with an old one`, async (t) => {
    const { store, agent, device } = await bench(t, { userdata: Buffer.from('#!/bin/sh\n') });
    store.set('api-key', 'canary');
    await agent.establish();
    const old = agent.sessionKey as string;
    await agent.establish();
    const shown = [undefined, '', 'Bearer', `Bearer ${'0'.repeat(64)}`, `Bearer ${old}`, `bearer ${agent.sessionKey}`, `Bearer ${agent.sessionKey} `.trimEnd().slice(0, -1)];
    for (const authorization of shown) {
      const connection = new HostConnection(await device.dialHost());
      const { status, body, headers } = await connection.request(line, authorization === undefined ? {} : { Authorization: authorization });
      assert.equal(status, 401, authorization);
      assert.equal(headers.get('content-length'), String(body.byteLength));
      assert.equal((JSON.parse(body.toString()) as { code: string }).code, 'unauthorized');
      assert.ok(!Buffer.concat(connection.received).includes('canary'));
    }
  });
}

test('without a session an empty key is no key', async (t) => {
  const { device } = await bench(t);
  for (const authorization of ['Bearer ', 'Bearer undefined', 'Bearer null']) {
    const connection = new HostConnection(await device.dialHost());
    assert.equal((await connection.request('GET /v1/secrets', { Authorization: authorization })).status, 401);
  }
});

test('a new session ends the connections of the one before', async (t) => {
  const { agent, device } = await bench(t);
  await agent.establish();
  const old = new HostConnection(await device.dialHost());
  const poll = old.request('GET /v1/secrets', { Authorization: `Bearer ${agent.sessionKey}` });
  await poll;
  await agent.establish();
  await old.closed;
  assert.equal(await agent.sync(), 200);
});

test('a recorded exchange is worth nothing: its proof fits no other challenge', async (t) => {
  const { agent, vm } = await bench(t, { bootToken: TOKEN });
  let recorded: Record<string, string> | undefined;
  agent.tamper = (answer) => {
    recorded ??= answer;
    return recorded;
  };
  await agent.establish();
  const thief = new WireAgent(agent.device, '');
  thief.tamper = agent.tamper;
  const refused = until(vm, () => vm.status().errors.length > 0);
  void thief.establish().catch(() => {});
  await refused;
  assert.match(vm.status().errors[0]?.message ?? '', /boot token/);
  assert.equal(thief.sessionKey, undefined);
});

const lies: readonly [string, (answer: Record<string, string>) => Record<string, unknown>][] = [
  ['a proof of another purpose', ({ nonce }) => ({ nonce, proof: 'f'.repeat(64) })],
  ['a short nonce', ({ proof }) => ({ nonce: 'ab', proof })],
  ['a nonce that is no text', ({ proof }) => ({ nonce: 5, proof })],
  ['no proof', ({ nonce }) => ({ nonce })],
  ['the proof in capitals', ({ nonce = '', proof = '' }) => ({ nonce, proof: proof.toUpperCase() })],
];
for (const [what, tamper] of lies) {
  test(`an agent that answers a challenge with ${what} gets no session`, async (t) => {
    const { agent, vm } = await bench(t);
    agent.tamper = tamper;
    const refused = until(vm, () => vm.status().errors.length > 0);
    void agent.establish().catch(() => {});
    await refused;
    assert.equal(vm.status().errors[0]?.code, 'agent_protocol');
    assert.equal(agent.sessionKey, undefined);
  });
}

test('a host that starts while the agent waits for a session dials it by itself', async (t) => {
  const { agent, vm, vsockPath, store } = await bench(t);
  await vm.close();
  agent.wantsSession = true;
  const offered = agent.saw('PUT /v1/session');
  const again = await startLiveVm(store, { hostname: 'web-1', grant: 'all', vsockPath }, dependencies());
  t.after(() => again.close());
  await offered;
  assert.equal(await agent.sync(), 200);
});

test('a host that starts before the guest is quiet about it', async (t) => {
  const { agent, device, vm, log, store, vsockPath } = await bench(t);
  await vm.close();
  device.agent = undefined;
  const dialled = device.nextDial();
  const again = await startLiveVm(store, { hostname: 'web-1', grant: 'all', vsockPath }, dependencies(log));
  t.after(() => again.close());
  await dialled;
  await assert.rejects(again.call(AbortSignal.timeout(1000)), { code: 'agent_not_ready' });
  assert.deepEqual(again.status().errors, []);
  assert.deepEqual(log, []);
  assert.equal(agent.sessionKey, undefined);
});

test('only one process serves a VM, and the socket of a dead one is taken over', async (t) => {
  const { vsockPath, store } = await bench(t);
  await assert.rejects(startLiveVm(store, { hostname: 'web-1', grant: 'all', vsockPath }, dependencies()), { code: 'already_running' });

  const dead = `${vsockPath}.dead`;
  const child = spawn(process.execPath, ['-e', `require('net').createServer().listen('${dead}_901', () => console.log('up'))`]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const vm = await startLiveVm(store, { hostname: 'web-2', grant: 'all', vsockPath: dead }, dependencies());
  await vm.close();
  assert.equal(existsSync(`${dead}_901`), false);
});

test('a file in the place of the socket stays, and a path that the kernel cannot take is named', async (t) => {
  const { vsockPath, store } = await bench(t);
  writeFileSync(`${vsockPath}.file_901`, 'kept');
  await assert.rejects(startLiveVm(store, { hostname: 'web-1', grant: 'all', vsockPath: `${vsockPath}.file` }, dependencies()), { code: 'invalid_request' });
  assert.equal(readFileSync(`${vsockPath}.file_901`, 'utf8'), 'kept');
  await assert.rejects(startLiveVm(store, { hostname: 'web-1', grant: 'all', vsockPath: `${vsockPath}${'x'.repeat(100)}` }, dependencies()), /the kernel takes 107/);
  assert.equal(store.listeners, 1);
});
test('after a reset of the guest nothing is sent to it and nothing of it is closed until it says hello', async (t) => {
  const { store, agent, vm, device } = await bench(t, { limits: { strangerMs: 500, sessionMs: 1_000 } });
  store.set('api-key', 'one');
  await agent.establish();
  await agent.sync();
  const stranger = await device.dialHost();
  let touched = 0;
  stranger.on('data', () => (touched += 1)).on('close', () => (touched += 1));
  vm.guestReset();
  const asked = agent.requested.length;
  store.set('api-key', 'two');
  await assert.rejects(vm.call(AbortSignal.timeout(5_000)));
  assert.equal(touched, 0);
  assert.equal(agent.requested.length, asked, 'the host did not dial');
  assert.equal(vm.status().connected, false);
  await agent.establish();
  assert.equal(await agent.sync(), 226);
  assert.equal(agent.held.get('api-key')?.bytes.toString(), 'two');
  stranger.destroy();
});

test('what an agent calls its release is bounded and cleaned, and one that tells none is served', async (t) => {
  const { agent, vm } = await bench(t);
  await agent.establish();
  assert.equal(vm.summary().agentVersion, undefined);
  agent.tamper = (answer) => ({ ...answer, agent_version: `\u001b[2J${'9'.repeat(100)}`, later: ['unknown'] });
  await agent.establish();
  const told = vm.summary().agentVersion ?? '';
  assert.ok(told.length <= 64 && told.includes('999') && !told.includes('\u001b'), told);
});
