import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Archives } from '../../src/live/archives.ts';
import { changesSince, grantedSecrets, viewOf } from '../../src/live/view.ts';
import type { Grant } from '../../src/secret/grant.ts';
import { HostConnection } from './host-connection.ts';
import { bench, until } from './live-vm.ts';
import { MemoryStore, secretName } from './memory-store.ts';
import { readArchive } from './wire-agent.ts';

test('a poll is held until something changes, and then brings only that', async (t) => {
  const { store, agent, vm } = await bench(t);
  store.set('a', '1');
  store.set('b', '2');
  await agent.establish();
  await agent.sync(true);
  const poll = agent.sync(true);
  await until(vm, () => vm.status().connected && vm.status().synced);
  store.set('b', 'changed');
  assert.equal(await poll, 226);
  assert.equal(agent.held.get('b')?.bytes.toString(), 'changed');
  assert.deepEqual([...agent.held.keys()].sort(), ['a', 'b']);
});

test('a removal comes as a whiteout', async (t) => {
  const { store, agent } = await bench(t);
  store.set('a', '1');
  store.set('b', '2');
  await agent.establish();
  await agent.sync();
  const base = agent.generation as string;
  store.set('b', undefined);
  const { status, headers, body } = await agent.request('GET /v1/secrets', { 'If-None-Match': base, 'A-IM': 'slicer-tar' });
  assert.equal(status, 226);
  assert.equal(headers.get('im'), 'slicer-tar');
  assert.equal(headers.get('delta-base'), base);
  assert.deepEqual([...readArchive(body).keys()], ['.wh.b']);
});

test('a removal that is undone is a change, not a whiteout', async (t) => {
  const { store, agent } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  await agent.sync();
  store.set('a', undefined);
  store.set('a', '1');
  const { body } = await agent.request('GET /v1/secrets', { 'If-None-Match': agent.generation as string, 'A-IM': 'slicer-tar' });
  assert.deepEqual([...readArchive(body).keys()], ['a']);
});

const fullAnswers: readonly [string, (etag: string) => Record<string, string>][] = [
  ['names no generation', () => ({ 'A-IM': 'slicer-tar' })],
  ['takes no differences', (etag) => ({ 'If-None-Match': etag })],
  ['takes differences of another form', (etag) => ({ 'If-None-Match': etag, 'A-IM': 'vcdiff' })],
  ['holds a generation of another epoch', () => ({ 'If-None-Match': '"fedcba9876543210.1"', 'A-IM': 'slicer-tar' })],
  ['holds a generation that was never sent', () => ({ 'If-None-Match': '"0123456789abcdef.0"', 'A-IM': 'slicer-tar' })],
  ['holds a generation of the future', () => ({ 'If-None-Match': '"0123456789abcdef.99"', 'A-IM': 'slicer-tar' })],
  ['holds something else', () => ({ 'If-None-Match': '*', 'A-IM': 'slicer-tar' })],
];
for (const [who, headersFor] of fullAnswers) {
  test(`an agent that ${who} gets everything`, async (t) => {
    const { store, agent } = await bench(t);
    store.set('a', '1');
    store.set('b', '2');
    await agent.establish();
    await agent.sync();
    store.set('b', '3');
    const { status, headers, body } = await agent.request('GET /v1/secrets', headersFor(agent.generation as string));
    assert.equal(status, 200);
    assert.deepEqual([...readArchive(body).keys()].sort(), ['a', 'b']);
    assert.equal(headers.get('etag'), '"0123456789abcdef.3"');
    assert.equal(headers.get('content-length'), String(body.byteLength));
    assert.equal(headers.get('transfer-encoding'), undefined);
    assert.equal(headers.get('cache-control'), 'no-store');
  });
}

test('a VM that is granted nothing gets an empty archive, and an empty secret arrives', async (t) => {
  const { store, agent } = await bench(t, { grant: [secretName('empty')] });
  store.set('other', 'canary');
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  assert.deepEqual([...agent.held], []);
  store.set('empty', '');
  assert.equal(await agent.sync(), 226);
  assert.equal(agent.held.get('empty')?.bytes.byteLength, 0);
});

test('a change outside the grant neither wakes the agent nor shows', async (t) => {
  const { store, agent, vm } = await bench(t, { grant: [secretName('mine')] });
  store.set('mine', '1');
  await agent.establish();
  await agent.sync();
  const etag = agent.generation;
  const poll = agent.sync(true);
  await until(vm, () => vm.status().synced);
  store.set('other', 'canary');
  store.set('other', undefined);
  store.set('mine', '2');
  assert.equal(await poll, 226);
  assert.notEqual(agent.generation, etag);
  assert.deepEqual([...agent.held.keys()], ['mine']);
  assert.ok(!Buffer.concat((await agent.connection()).received).includes('canary'));
  assert.ok(!Buffer.concat((await agent.connection()).received).includes('other'));
});

test('a newer poll takes the place of the one before, which is closed', async (t) => {
  const { store, agent, device, vm } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  await agent.sync();
  const old = new HostConnection(await device.dialHost());
  const headers = { Authorization: `Bearer ${agent.sessionKey}`, 'If-None-Match': agent.generation as string };
  const held = old.request('GET /v1/secrets?wait', headers);
  held.catch(() => {});
  await until(vm, () => vm.status().synced);
  const poll = agent.sync(true);
  await old.closed;
  await assert.rejects(held);
  store.set('a', '2');
  assert.equal(await poll, 226);
});

test('a request that does not wait leaves the poll alone', async (t) => {
  const { store, agent, device, vm } = await bench(t);
  store.set('a', '1');
  await agent.establish();
  await agent.sync();
  const poll = agent.sync(true);
  await until(vm, () => vm.status().synced);
  const other = new HostConnection(await device.dialHost());
  assert.equal((await other.request('GET /v1/secrets', { Authorization: `Bearer ${agent.sessionKey}` })).status, 200);
  store.set('a', '2');
  assert.equal(await poll, 226);
});

test('VMs with the same grant are sent from one archive', async () => {
  const store = new MemoryStore();
  store.set('a', '1');
  store.set('b', '2');
  const archives = new Archives();
  const view = (grant: Grant) => viewOf(store.snapshot(), grant);
  const names = [secretName('a'), secretName('b')];
  const [one, other, reordered, narrower] = await Promise.all([
    archives.get(view('all'), undefined), archives.get(view('all'), undefined),
    archives.get(view([...names].reverse()), undefined), archives.get(view(names.slice(0, 1)), undefined),
  ]);
  assert.equal(one, other);
  assert.equal(reordered, await archives.get(view(names), undefined));
  assert.notEqual(narrower, one);
  assert.deepEqual([...readArchive(narrower).keys()], ['a']);
});

const NAMES = ['a', 'b', 'c', 'd'];
const grant: fc.Arbitrary<Grant> = fc.oneof(fc.constant('all' as const), fc.subarray(NAMES.map(secretName)));
const change = fc.record({
  kind: fc.constant('change' as const), name: fc.constantFrom(...NAMES), value: fc.option(fc.string(), { nil: undefined }),
});
const step = fc.oneof({ weight: 3, arbitrary: change }, fc.record({ kind: fc.constantFrom('sync', 'poll', 'forget', 'session') }));

test('after any order of changes, syncs, lost generations and new sessions the agent holds exactly its grant', async (t) => {
  await fc.assert(fc.asyncProperty(grant, fc.array(step, { maxLength: 30 }), async (granted, steps) => {
    const { store, agent } = await bench(t, { grant: granted });
    await agent.establish();
    let polling: Promise<number> | undefined;
    for (const taken of steps) {
      if (taken.kind === 'change') {
        store.set(taken.name, taken.value);
      } else if (taken.kind === 'poll' && agent.generation !== undefined) {
        polling ??= agent.sync(true).catch(() => 0);
      } else {
        if (polling !== undefined) {
          agent.close();
          await polling;
          polling = undefined;
        }
        if (taken.kind === 'forget') agent.generation = undefined;
        else if (taken.kind === 'session') await agent.establish();
        else await agent.sync();
      }
    }
    if (polling !== undefined) {
      agent.close();
      await polling;
    }
    await agent.sync();
    const held = new Map([...agent.held].map(([name, { bytes }]) => [name, bytes.toString()]));
    const expected = new Map(grantedSecrets(store.snapshot(), granted).map(({ name, value }) => [name as string, Buffer.from(value.reveal()).toString()]));
    assert.deepEqual(new Map([...held].sort()), new Map([...expected].sort()));
  }), { numRuns: 60 });
});

test('the difference from any earlier view, applied to it, is the later view', () => {
  const history = fc.array(change, { minLength: 1, maxLength: 30 });
  fc.assert(fc.property(grant, history, fc.nat(), (granted, changes, at) => {
    const store = new MemoryStore();
    const contentOf = () => new Map(grantedSecrets(store.snapshot(), granted).map(({ name, version }) => [name, version]));
    let base = { counter: 0, content: contentOf() };
    changes.forEach(({ name, value }, index) => {
      store.set(name, value);
      if (index === at % changes.length) base = { counter: viewOf(store.snapshot(), granted).generation.counter, content: contentOf() };
    });
    const { secrets, removed } = changesSince(viewOf(store.snapshot(), granted), base.counter);
    for (const name of removed) base.content.delete(name);
    for (const { name, version } of secrets) base.content.set(name, version);
    assert.deepEqual(new Map([...base.content].sort()), new Map([...contentOf()].sort()));
  }));
});

test('the generation of a view grows exactly when its content changes', () => {
  fc.assert(fc.property(grant, fc.array(change, { maxLength: 30 }), (granted, changes) => {
    const store = new MemoryStore();
    const look = () => ({
      counter: viewOf(store.snapshot(), granted).generation.counter,
      content: grantedSecrets(store.snapshot(), granted).map(({ name, version }) => `${name} ${version}`).sort().join(),
    });
    for (const { name, value } of changes) {
      const before = look();
      store.set(name, value);
      const after = look();
      assert.ok(after.counter >= before.counter);
      assert.equal(after.counter > before.counter, after.content !== before.content);
    }
  }));
});
