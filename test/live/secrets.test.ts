import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Archives } from '../../src/live/archives.ts';
import type { LiveCredential } from '../../src/live/contract.ts';
import { scopeOf, type Scope } from '../../src/live/scope.ts';
import { changesSince, itemsOf, viewOf } from '../../src/live/view.ts';
import type { Grant } from '../../src/secret/grant.ts';
import type { SecretName } from '../../src/secret/name.ts';
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
  ['holds a generation that was never sent', (etag) => ({ 'If-None-Match': etag.replace('.1"', '.0"'), 'A-IM': 'slicer-tar' })],
  ['holds a generation of the future', (etag) => ({ 'If-None-Match': etag.replace('.1"', '.99"'), 'A-IM': 'slicer-tar' })],
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
    assert.equal(headers.get('etag'), agent.generation?.replace('.1"', '.2"'));
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

test('VMs with the same scope are sent from one archive, and others never', async () => {
  const store = new MemoryStore();
  store.set('a', '1');
  store.set('b', '2');
  const archives = new Archives();
  const archive = (grant: Grant, credentials: readonly LiveCredential[] = []) =>
    archives.offer(viewOf(store.snapshot(), scopeOf(grant, credentials)), undefined).take();
  const names = [secretName('a'), secretName('b')];
  const credential = { name: 'x', secret: secretName('a'), trimNewline: false };
  const other = { ...credential, name: 'y' };
  assert.equal(await archive('all'), await archive('all'));
  assert.equal(await archive([...names].reverse()), await archive(names));
  assert.equal(await archive([], [credential, other]), await archive([], [other, { ...credential }]));
  const different = [
    archive('all'), archive(names), archive(['a' as const].map(secretName)), archive('all', [credential]), archive([], [credential]),
    archive([], [other]), archive([], [{ ...credential, trimNewline: true }]), archive([], [{ ...credential, secret: secretName('b') }]),
  ];
  assert.equal(new Set(await Promise.all(different)).size, different.length);
  assert.deepEqual([...readArchive(await archive(names.slice(0, 1))).keys()], ['a']);
});

const NAMES = ['a', 'b', 'c', 'd'];
const grant: fc.Arbitrary<Grant> = fc.oneof(fc.constant('all' as const), fc.subarray(NAMES.map(secretName)));
const change = fc.record({
  kind: fc.constant('change' as const), name: fc.constantFrom(...NAMES), value: fc.option(fc.oneof(fc.string(), fc.constantFrom('\n', 'x\n', 'x\n\n')), { nil: undefined }),
});
const step = fc.oneof({ weight: 3, arbitrary: change }, fc.record({ kind: fc.constantFrom('sync', 'poll', 'forget', 'session') }));
const credentials: fc.Arbitrary<LiveCredential[]> = fc.uniqueArray(
  fc.record({ name: fc.constantFrom('x', 'y y', `z${'z'.repeat(254)}`), secret: fc.constantFrom(...NAMES.map(secretName)), trimNewline: fc.boolean() }),
  { selector: ({ name }) => name },
);
const scope: fc.Arbitrary<Scope> = fc.tuple(grant, credentials).map(([granted, given]) => scopeOf(granted, given));

/** What an agent should hold, said without the help of what is tested. */
function expectedOf(store: MemoryStore, { grant: granted, credentials: given }: Pick<Scope, 'grant' | 'credentials'>): Map<string, string> {
  const { secrets } = store.snapshot();
  const textOf = (name: SecretName) => Buffer.from(secrets.get(name)?.value.reveal() ?? []).toString();
  const names = granted === 'all' ? NAMES.map(secretName) : granted;
  return new Map([
    ...names.filter((name) => secrets.has(name)).map((name): [string, string] => [name, `0600 ${textOf(name)}`]),
    ...given.filter(({ secret }) => secrets.has(secret)).map(({ name, secret, trimNewline }): [string, string] =>
      [`.cred.${name}`, `0400 ${trimNewline ? textOf(secret).replace(/\n$/, '') : textOf(secret)}`]),
  ].sort());
}

test('after any order of changes, syncs, lost generations and new sessions the agent holds exactly its scope', async (t) => {
  await fc.assert(fc.asyncProperty(scope, fc.array(step, { maxLength: 30 }), async (given, steps) => {
    const { store, agent } = await bench(t, given);
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
    const held = [...agent.held].map(([name, { mode, bytes }]): [string, string] => [name, `0${mode.toString(8)} ${bytes}`]);
    assert.deepEqual(new Map(held.sort()), expectedOf(store, given));
  }), { numRuns: 60 });
});

test('the difference from any earlier view, applied to it, is the later view', () => {
  const history = fc.array(change, { minLength: 1, maxLength: 30 });
  fc.assert(fc.property(scope, history, fc.nat(), (given, changes, at) => {
    const store = new MemoryStore();
    const view = () => viewOf(store.snapshot(), given);
    const contentOf = () => new Map(itemsOf(view()).map(({ entry, version }) => [entry, version]));
    let base = { version: 0, content: contentOf() };
    changes.forEach(({ name, value }, index) => {
      store.set(name, value);
      if (index === at % changes.length) base = { version: view().version, content: contentOf() };
    });
    const { items, removed } = changesSince(view(), base.version);
    for (const entry of removed) base.content.delete(entry);
    for (const { entry, version } of items) base.content.set(entry, version);
    assert.deepEqual(new Map([...base.content].sort()), new Map([...contentOf()].sort()));
  }));
});

test('the version of a view grows exactly when its content changes', () => {
  fc.assert(fc.property(scope, fc.array(change, { maxLength: 30 }), (given, changes) => {
    const store = new MemoryStore();
    const look = () => {
      const view = viewOf(store.snapshot(), given);
      return { version: view.version, content: itemsOf(view).map(({ entry, version }) => `${entry} ${version}`).sort().join() };
    };
    for (const { name, value } of changes) {
      const before = look();
      store.set(name, value);
      const after = look();
      assert.ok(after.version >= before.version);
      assert.equal(after.version > before.version, after.content !== before.content);
    }
  }));
});
