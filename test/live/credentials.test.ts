import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LiveCredential } from '../../src/live/contract.ts';
import { startLiveVm } from '../../src/live/live-vm.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { bench, dependencies, type Bench } from './live-vm.ts';
import { secretName } from './memory-store.ts';
import { readArchive } from './wire-agent.ts';

const never = new AbortController().signal;
const key = secretName('key');
const credential = (name: string, secret: SecretName = key, trimNewline = false): LiveCredential => ({ name, secret, trimNewline });

/** What comes next, entry by entry. */
async function received({ agent }: Bench): Promise<{ status: number; entries: Record<string, string> }> {
  const { status, headers, body } = await agent.request('GET /v1/secrets', agent.generation === undefined ? {}
    : { 'If-None-Match': agent.generation, 'A-IM': 'slicer-tar' });
  agent.generation = headers.get('etag');
  const entries = status === 304 ? [] : [...readArchive(body)];
  return {
    status,
    entries: Object.fromEntries(entries.map(([name, { mode, uid, gid, bytes }]) => [name, `${mode.toString(8)} ${uid}:${gid} ${bytes}`])),
  };
}

test('a VM that is granted nothing gets a credential as that, and its secret in no other form', async (t) => {
  const live = await bench(t, { grant: [], credentials: [credential('db.password')] });
  live.store.set('key', 'canary', { mode: 0o644, uid: 7, gid: 8 });
  live.store.set('other', 'canary of another');
  await live.agent.establish();
  assert.deepEqual(await received(live), { status: 200, entries: { '.cred.db.password': '400 0:0 canary' } });
});

test('a VM of another list gets none', async (t) => {
  const live = await bench(t, { grant: [secretName('other')], credentials: [] });
  live.store.set('key', 'canary');
  live.store.set('other', 'x');
  await live.agent.establish();
  assert.deepEqual(Object.keys((await received(live)).entries), ['other']);
});

test('a secret that is granted too comes in both forms, each its own', async (t) => {
  const live = await bench(t, { credentials: [credential('a'), credential('b', key, true)] });
  live.store.set('key', 'v\n\n', { mode: 0o640, uid: 7, gid: 8 });
  await live.agent.establish();
  assert.deepEqual((await received(live)).entries, { key: '640 7:8 v\n\n', '.cred.a': '400 0:0 v\n\n', '.cred.b': '400 0:0 v\n' });
});

test('credentials follow their secret: a change, its removal as a whiteout, its return', async (t) => {
  const live = await bench(t, { grant: [], credentials: [credential('mine'), credential('other', secretName('other'))] });
  live.store.set('key', '1');
  live.store.set('other', '1');
  await live.agent.establish();
  await received(live);
  live.store.set('key', '2');
  assert.deepEqual(await received(live), { status: 226, entries: { '.cred.mine': '400 0:0 2' } });
  live.store.set('key', undefined);
  assert.deepEqual(await received(live), { status: 226, entries: { '.wh..cred.mine': '0 0:0 ' } });
  live.store.set('key', '3');
  assert.deepEqual(await received(live), { status: 226, entries: { '.cred.mine': '400 0:0 3' } });
  assert.equal((await received(live)).status, 304);
});

test('the removal of a secret that is granted too takes both forms away', async (t) => {
  const live = await bench(t, { credentials: [credential('mine')] });
  live.store.set('key', '1');
  await live.agent.establish();
  await live.agent.sync();
  live.store.set('key', undefined);
  await live.agent.sync();
  assert.deepEqual([...live.agent.held.keys()], []);
});

const trims: readonly [string, string][] = [['v\n', 'v'], ['v\n\n', 'v\n'], ['v', 'v'], ['\n', ''], ['', ''], ['v\r\n', 'v\r'], ['v\n ', 'v\n ']];
for (const [value, expected] of trims) {
  test(`trimNewline makes ${JSON.stringify(expected)} of ${JSON.stringify(value)}, and without it every byte stays`, async (t) => {
    const live = await bench(t, { grant: [], credentials: [credential('t', key, true), credential('e')] });
    live.store.set('key', value);
    await live.agent.establish();
    assert.deepEqual((await received(live)).entries, { '.cred.t': `400 0:0 ${expected}`, '.cred.e': `400 0:0 ${value}` });
  });
}

test('a name that is as long and odd as systemd takes it arrives, and is taken away', async (t) => {
  const name = `. ,"'%\\~${'x'.repeat(247)}`;
  const live = await bench(t, { grant: [], credentials: [credential(name), credential('.wh.x')] });
  live.store.set('key', '1');
  await live.agent.establish();
  assert.equal(name.length, 255);
  assert.deepEqual(Object.keys((await received(live)).entries), [`.cred.${name}`, '.cred..wh.x']);
  live.store.set('key', undefined);
  assert.deepEqual(Object.keys((await received(live)).entries), [`.wh..cred.${name}`, '.wh..cred..wh.x']);
});

test('a credential is a delivery of its own', async (t) => {
  const { store, agent, vm } = await bench(t, { credentials: [credential('mine'), credential('absent', secretName('absent'))] });
  store.set('key', '1');
  await agent.establish();
  assert.deepEqual(vm.status().deliveries, [{ name: 'key', state: 'pending' }, { name: 'key', credential: 'mine', state: 'pending' }]);
  await agent.sync();
  await agent.sync();
  assert.deepEqual(vm.status().deliveries.map(({ credential: name, state }) => [name, state]), [[undefined, 'current'], ['mine', 'current']]);
});

test('a fault that the guest reports of a credential shows with it, and one of a name that it was not given is dropped', async (t) => {
  const { store, agent, vm } = await bench(t, { grant: [], credentials: [credential(`m${'x'.repeat(254)}`)] });
  store.set('key', '1');
  await agent.establish();
  const name = `.cred.m${'x'.repeat(254)}`;
  const errors = [name, '.cred.other', '.cred.', 'key', '.wh..cred.mine'].map((each) => ({ name: each, code: 'ENOSPC', message: 'no space left' }));
  assert.equal((await agent.request('POST /v1/report', {}, { generation: '', errors })).status, 204);
  assert.deepEqual(vm.status(), {
    connected: false, synced: false, errors: [],
    deliveries: [{ name: 'key', credential: `m${'x'.repeat(254)}`, state: 'failed', error: errors[0] }],
  });
});

test('whenHolds waits for a credential, though its secret is not granted', async (t) => {
  const { store, agent, vm } = await bench(t, { grant: [], credentials: [credential('mine')] });
  store.set('key', '1');
  await agent.establish();
  await agent.sync();
  await agent.sync();
  await vm.whenHolds(store.set('other', 'x'), never);
  let held = false;
  const holds = vm.whenHolds(store.set('key', '2'), never).then(() => (held = true));
  await agent.sync();
  assert.equal(held, false);
  assert.deepEqual(await Promise.all([agent.sync(), holds]), [304, true]);
});

test('a VM that is attached again with other credentials loses what it had', async (t) => {
  const { store, agent, vm, vsockPath } = await bench(t, { grant: [], credentials: [credential('before')] });
  store.set('key', '1');
  await agent.establish();
  await agent.sync();
  agent.close();
  await vm.close();
  const again = await startLiveVm(store, { hostname: 'web-1', vsockPath, grant: [], credentials: [credential('after')] }, dependencies());
  t.after(() => again.close());
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  assert.deepEqual([...agent.held.keys()], ['.cred.after']);
});
