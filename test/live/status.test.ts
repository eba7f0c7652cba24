import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSON_MAX_BYTES } from '../../src/wire/protocol.ts';
import { bench } from './live-vm.ts';
import { secretName } from './memory-store.ts';

const never = new AbortController().signal;

test('a secret is pending until the guest asks with a generation that includes it', async (t) => {
  const { store, agent, vm } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  assert.deepEqual(vm.status(), { connected: false, synced: false, deliveries: [{ name: 'a', state: 'pending' }], errors: [] });
  await agent.sync(true);
  assert.equal(vm.status().deliveries[0]?.state, 'pending');
  assert.equal(vm.status().connected, true);
  const before = Date.now();
  void agent.sync(true).catch(() => {});
  await vm.whenSynced(never);
  const [delivery] = vm.status().deliveries;
  assert.equal(delivery?.state, 'current');
  assert.ok((delivery?.sinceMs ?? 0) >= before && (delivery?.sinceMs ?? 0) <= Date.now());
  store.set('b', '2');
  assert.deepEqual(vm.status().deliveries.map(({ name, state }) => `${name} ${state}`), ['a current', 'b pending']);
});

test('whenHolds resolves once the guest holds the change, and at once for one outside the grant', async (t) => {
  const { store, agent, vm } = await bench(t, { grant: [secretName('mine')] });
  store.set('mine', '1');
  await agent.establish();
  await agent.sync();
  await agent.sync();
  await vm.whenHolds(store.set('other', 'x'), never);
  let held = false;
  const holds = vm.whenHolds(store.set('mine', '2'), never).then(() => (held = true));
  await agent.sync();
  assert.equal(held, false);
  assert.deepEqual(await Promise.all([agent.sync(), holds]), [304, true]);
});

test('whenHolds counts a later change that swallowed the one waited for only when that one is held', async (t) => {
  const { store, agent, vm } = await bench(t, { grant: [secretName('mine')] });
  store.set('mine', '1');
  await agent.establish();
  await agent.sync();
  await agent.sync();
  const counter = store.set('mine', '2');
  store.set('mine', '3');
  let held = false;
  const holds = vm.whenHolds(counter, never).then(() => (held = true));
  await agent.request('GET /v1/secrets', { 'If-None-Match': agent.generation as string });
  assert.equal(held, false);
  await agent.sync();
  await agent.sync();
  await holds;
});

test('a wait ends with its signal, and with the end of the service', async (t) => {
  const { vm } = await bench(t);
  const abort = new AbortController();
  const given = vm.whenHolds(1, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  await assert.rejects(vm.whenSynced(AbortSignal.abort(new Error('too late'))), /too late/);
  const open = vm.whenSynced(never);
  await vm.close();
  await assert.rejects(open, { code: 'vm_not_running' });
});

test('a new session, which may be a new boot, holds nothing until it says so', async (t) => {
  const { store, agent, vm } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  await agent.sync();
  await agent.sync();
  assert.equal(vm.status().deliveries[0]?.state, 'current');
  await agent.establish();
  assert.equal(vm.status().deliveries[0]?.state, 'pending');
});

test('a guest that claims a generation which it never should have held is not believed', async (t) => {
  const { store, agent, vm } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  const { headers } = await agent.request('GET /v1/secrets');
  const sent = headers.get('etag') as string;
  const claims = [sent.replace('.1"', '.2"'), sent.replace('.1"', '.0"'), sent.replace('.1"', '.9007199254740991"'), '"fedcba9876543210.1"', 'x'];
  for (const etag of claims) {
    await agent.request('GET /v1/secrets', { 'If-None-Match': etag });
    assert.equal(vm.status().synced, false, etag);
  }
});

test('a reported fault shows with its secret until the next report', async (t) => {
  const { store, agent, vm, log } = await bench(t);
  store.set('a', '1');
  store.set('b', '2');
  await agent.establish();
  const errors = [{ name: 'b', code: 'ENOSPC', message: 'no space left' }, { code: 'EROFS', message: 'read-only' }];
  assert.equal((await agent.request('POST /v1/report', {}, { generation: '', errors })).status, 204);
  const { deliveries, errors: others } = vm.status();
  assert.deepEqual(deliveries, [{ name: 'a', state: 'pending' }, { name: 'b', state: 'failed', error: errors[0] }]);
  assert.deepEqual(others, [errors[1]]);
  assert.ok(log.some((line) => line.includes('ENOSPC')));
  await agent.request('POST /v1/report', {}, { generation: '"0123456789abcdef.2"', errors: [] });
  assert.deepEqual(vm.status().deliveries.map(({ state }) => state), ['pending', 'pending']);
  assert.deepEqual(vm.status().errors, []);
});

test('what a guest reports is cut, cleaned of controls, and never names a secret outside the grant', async (t) => {
  const { store, agent, vm, log } = await bench(t, { grant: [secretName('mine')] });
  store.set('mine', '1');
  store.set('other', '2');
  await agent.establish();
  const nasty = `\x1b[2J\r\n\u202e\ud800${'x'.repeat(100_000)}`;
  const names = ['mine', 'other', '../mine', nasty];
  const errors = names.map((name) => ({ name, code: nasty, message: nasty }));
  assert.equal((await agent.request('POST /v1/report', {}, { generation: '', errors: [errors[0]] })).status, 204);
  const [{ error } = {}] = vm.status().deliveries;
  assert.match(error?.message ?? '', /^\ufffd\[2J\ufffd\ufffd\ufffd\ufffdx+…$/);
  assert.equal(error?.message.length, 300);
  assert.equal(error?.code.length, 32);
  assert.doesNotMatch(log.join('\n').replaceAll('\n', ''), /[\u0000-\u001f\u202e]/);
  const others = names.slice(1).map((name) => ({ name, code: 'E', message: 'm' }));
  assert.equal((await agent.request('POST /v1/report', {}, { generation: '', errors: others })).status, 204);
  assert.deepEqual(vm.status().errors, []);
});

const badReports: readonly [string, Uint8Array | object][] = [
  ['that is no JSON', Buffer.from('{')],
  ['that is a list', []],
  ['without errors', { generation: '' }],
  ['with another generation', { generation: 'x', errors: [] }],
  ['with errors that are text', { generation: '', errors: 'x' }],
  ['with an error without a code', { generation: '', errors: [{ message: 'x' }] }],
  ['that is empty', Buffer.alloc(0)],
];
for (const [what, body] of badReports) {
  test(`a report ${what} is answered 400 and changes nothing`, async (t) => {
    const { agent, vm } = await bench(t);
    await agent.establish();
    assert.equal((await agent.request('POST /v1/report', {}, body)).status, 400);
    assert.deepEqual(vm.status().errors, []);
    assert.equal(await agent.sync(), 200);
  });
}

test('a report beyond the limit is answered 413 and not read', async (t) => {
  const { agent } = await bench(t);
  await agent.establish();
  const connection = await agent.connection();
  const { status } = await connection.send(
    `POST /v1/report HTTP/1.1\r\nAuthorization: Bearer ${agent.sessionKey}\r\nContent-Length: ${JSON_MAX_BYTES + 1}\r\n\r\n`);
  assert.equal(status, 413);
  await connection.closed;
});

test('ten thousand faults in one report are cut to a bounded number', async (t) => {
  const { agent, vm } = await bench(t);
  await agent.establish();
  const errors = Array.from({ length: 5000 }, () => ({ code: 'E', message: 'm' }));
  assert.equal((await agent.request('POST /v1/report', {}, { generation: '', errors })).status, 204);
  assert.equal(vm.status().errors.length, 1000);
});

test('reports that come too fast are answered 429', async (t) => {
  const { agent } = await bench(t, { limits: { reports: { burst: 2, perSecond: 0.1 } } });
  await agent.establish();
  const statuses = [];
  for (let index = 0; index < 3; index += 1) statuses.push((await agent.request('POST /v1/report', {}, { generation: '', errors: [] })).status);
  assert.deepEqual(statuses, [204, 204, 429]);
});

test('what a guest can cause again and again is logged at a bounded rate', async (t) => {
  const { agent, log } = await bench(t, { limits: { logLines: { burst: 3, perSecond: 0.01 } } });
  await agent.establish();
  for (let index = 0; index < 20; index += 1) {
    await agent.request('POST /v1/report', {}, { generation: '', errors: [{ code: 'E', message: `number ${index}` }] });
  }
  assert.equal(log.length, 3);
});
