import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Archives } from '../../src/live/archives.ts';
import { scopeOf } from '../../src/live/scope.ts';
import { viewOf } from '../../src/live/view.ts';
import type { Grant } from '../../src/secret/grant.ts';
import { SECRET_MAX_BYTES } from '../../src/secret/secret.ts';
import { bench } from './live-vm.ts';
import { MemoryStore, secretName } from './memory-store.ts';

const MEBIBYTE = 1024 * 1024;

/** Secrets of 1 MiB each: `0`, `1` and so on. */
function largeStore(count: number): MemoryStore {
  const store = new MemoryStore();
  const value = Buffer.alloc(SECRET_MAX_BYTES, 'x');
  for (let index = 0; index < count; index += 1) store.set(String(index), value);
  return store;
}

const names = (from: number, count: number): Grant => Array.from({ length: count }, (_, index) => secretName(String(from + index)));

test('an archive above all that is kept is packed once for one snapshot', async () => {
  const store = largeStore(66);
  const archives = new Archives();
  const offer = () => archives.offer(viewOf(store.snapshot(), scopeOf('all', [])), undefined);
  const first = offer();
  assert.ok(first.packBytes > 66 * MEBIBYTE);
  const archive = await first.take();
  assert.ok(archive.byteLength >= first.packBytes && archive.byteLength - first.packBytes < MEBIBYTE);
  assert.equal(offer().packBytes, 0);
  assert.equal(await offer().take(), archive);
});

test('two that ask at the same time get one archive', async () => {
  const store = largeStore(1);
  const archives = new Archives();
  const offers = [0, 1].map(() => archives.offer(viewOf(store.snapshot(), scopeOf('all', [])), undefined));
  const [one, other] = await Promise.all(offers.map((offer) => offer.take()));
  assert.equal(one, other);
});

test('beyond what is kept, the archive that was not asked for longest is let go first', async () => {
  const store = largeStore(60);
  const archives = new Archives();
  const offer = (from: number) => archives.offer(viewOf(store.snapshot(), scopeOf(names(from, 20), [])), undefined);
  for (const from of [0, 20, 40]) await offer(from).take();
  const isKept = [0, 20, 40].map((from) => offer(from).packBytes === 0);
  assert.deepEqual(isKept, [true, true, true]);
  const more = archives.offer(viewOf(store.snapshot(), scopeOf(names(10, 20), [])), undefined);
  await more.take();
  assert.deepEqual([20, 40].map((from) => offer(from).packBytes === 0), [true, true]);
  assert.ok(offer(0).packBytes > 0);
});

test('a guest that makes the host pack again and again is told to wait, and gets what is kept all the same', async (t) => {
  const store = new MemoryStore();
  store.set('a', Buffer.alloc(MEBIBYTE, 'x'));
  const { agent } = await bench(t, { store, limits: { packing: { burst: 2.5 * MEBIBYTE, perSecond: 0.001 * MEBIBYTE } } });
  await agent.establish();
  const statuses: number[] = [];
  const ask = async (): Promise<void> => {
    agent.generation = undefined;
    statuses.push(await agent.sync());
  };
  await ask();
  await ask();
  store.set('a', Buffer.alloc(MEBIBYTE, 'y'));
  await ask();
  await ask();
  store.set('a', Buffer.alloc(MEBIBYTE, 'z'));
  const { status, headers } = await agent.request('GET /v1/secrets');
  assert.deepEqual([...statuses, status], [200, 200, 200, 200, 429]);
  assert.ok(Number(headers.get('retry-after')) > 60);
  await (await agent.connection()).closed;
  assert.equal(agent.held.get('a')?.bytes.at(0), 'y'.charCodeAt(0));
});
