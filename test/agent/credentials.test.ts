// Credentials over the live channel: where the agent puts them, and what it leaves alone.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { name, rootOnly, startGuest, value } from './guest-fixture.ts';

const wish = (credential: string, secret: string) => ({ name: credential, secret: name(secret), trimNewline: false });

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

test('credentials arrive in a store that only root can read, and not among the secrets', async (context) => {
  const longest = `${'n'.repeat(253)} ~`;
  const guest = await startGuest(context, { grant: [], vm: { credentials: [wish('app.key', 'a'), wish(longest, 'b'), wish('.manifest', 'b')] } });
  await guest.store.create(name('a'), value('binary \0\n'), { mode: 0o666, uid: 1000, gid: 1000 });
  await guest.store.create(name('b'), value('2'), rootOnly);
  const { stdout, stderr } = await guest.agent(['secrets', 'sync']);
  assert.equal(stderr, '');
  assert.deepEqual(stdout.split('\n').sort(), ['', 'added credential .manifest', 'added credential app.key', `added credential ${longest}`]);
  assert.deepEqual(readdirSync(guest.directory), []);
  assert.deepEqual(readdirSync(guest.credstore).sort(), ['.manifest', 'app.key', longest]);
  assert.equal(readFileSync(join(guest.credstore, 'app.key'), 'latin1'), 'binary \0\n');
  assert.equal(modeOf(guest.credstore), 0o700);
  assert.equal(modeOf(join(guest.credstore, 'app.key')), 0o400);
  assert.equal(statSync(join(guest.credstore, 'app.key')).uid, 0);
  assert.equal(modeOf(`${guest.credstore}.agent`), 0o700);
});

test('a running agent takes over what becomes of a credential, and restores what is altered', async (context) => {
  const guest = await startGuest(context, { grant: [], vm: { credentials: [wish('one', 'a'), wish('two', 'b')] } });
  await guest.store.create(name('a'), value('old'), rootOnly);
  await guest.store.create(name('b'), value('b'), rootOnly);
  await guest.run();
  const read = (file: string): string => readFileSync(join(guest.credstore, file), 'utf8');
  assert.deepEqual([read('one'), read('two')], ['old', 'b']);
  await guest.store.update(name('a'), { value: value('new') });
  await guest.store.remove(name('b'));
  await guest.caughtUp();
  assert.equal(read('one'), 'new');
  assert.deepEqual(readdirSync(guest.credstore), ['one']);

  const watcher = watch(guest.credstore);
  chmodSync(join(guest.credstore, 'one'), 0o644);
  writeFileSync(join(guest.credstore, 'one'), 'forged');
  while (read('one') !== 'new' || modeOf(join(guest.credstore, 'one')) !== 0o400) {
    await once(watcher, 'change', { signal: AbortSignal.timeout(10_000) });
  }
  rmSync(join(guest.credstore, 'one'));
  while (!existsSync(join(guest.credstore, 'one'))) await once(watcher, 'change', { signal: AbortSignal.timeout(10_000) });
  watcher.close();
  const { stdout } = await guest.agent(['status']);
  assert.match(stdout, /^credentials: 1$/m);
});

test('an agent that starts again takes out a credential that is gone, and nothing that it did not put there', async (context) => {
  const guest = await startGuest(context, { vm: { credentials: [wish('gone', 'a'), wish('kept', 'b')] } });
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.store.create(name('b'), value('2'), rootOnly);
  await guest.agent(['secrets', 'sync']);
  const before = statSync(join(guest.credstore, 'kept'), { bigint: true });
  writeFileSync(join(guest.credstore, 'foreign'), 'from elsewhere');
  await guest.store.remove(name('a'));
  assert.equal((await guest.agent(['secrets', 'sync'])).stdout, 'removed a\nremoved credential gone\n');
  assert.deepEqual(readdirSync(guest.credstore).sort(), ['foreign', 'kept']);
  const after = statSync(join(guest.credstore, 'kept'), { bigint: true });
  assert.deepEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs]);
});

test('a guest without credentials gets no store for them', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.agent(['secrets', 'sync']);
  assert.equal(existsSync(guest.credstore), false);
});

test('a credential that can not be held is named, also to the host, and the old set stays whole', async (context) => {
  const guest = await startGuest(context, { vm: { credentials: [wish('one', 'b')] } });
  await guest.store.create(name('a'), value('old'), rootOnly);
  await guest.store.create(name('b'), value('old'), rootOnly);
  await guest.run();
  rmSync(join(guest.credstore, 'one'));
  mkdirSync(join(guest.credstore, 'one'));
  const failed = new Promise<string | undefined>((resolve) => guest.vm.onStatus(() => {
    const delivery = guest.vm.status().deliveries.find(({ credential }) => credential === 'one');
    if (delivery?.state === 'failed') resolve(delivery.error?.code);
  }));
  await guest.store.update(name('b'), { value: value('new') });
  await guest.store.update(name('a'), { value: value('new') });
  assert.equal(await failed, 'EISDIR');
  const { status, stderr } = await guest.agent(['secrets', 'sync']);
  assert.equal(status, 1);
  assert.equal(stderr, 'slicer-agent: error: credential one: a directory stands where the secret belongs\n');
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), 'old');
  assert.deepEqual(readdirSync(`${guest.credstore}.agent/staging`), []);
});
