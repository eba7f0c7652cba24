import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, watch, writeFileSync,
} from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { name, rootOnly, startGuest, value, type Guest } from './guest-fixture.ts';

/** What stands in the directory: name to bytes, mode and owner. */
function contents(directory: string): Map<string, { bytes: Buffer; mode: number; uid: number; gid: number }> {
  return new Map(readdirSync(directory).map((file) => {
    const { mode, uid, gid } = lstatSync(join(directory, file));
    return [file, { bytes: readFileSync(join(directory, file)), mode: mode & 0o7777, uid, gid }];
  }));
}

function assertHolds(guest: Guest): void {
  const held = contents(guest.directory);
  const { secrets } = guest.store.snapshot();
  assert.deepEqual([...held.keys()].sort(), [...secrets.keys()].sort());
  for (const [file, { bytes, ...attributes }] of held) {
    const secret = secrets.get(name(file));
    assert.ok(secret !== undefined);
    assert.ok(bytes.equals(secret.value.reveal()), `the bytes of ${file} differ`);
    assert.deepEqual(attributes, secret.attributes);
  }
}

/** Resolves once `holds` does, looking again at each event in the directory. */
async function until(directory: string, holds: () => boolean): Promise<void> {
  const watcher = watch(directory);
  try {
    while (!holds()) await once(watcher, 'change', { signal: AbortSignal.timeout(10_000) });
  } finally {
    watcher.close();
  }
}

test('secrets arrive with their exact bytes, owner and mode, whatever the umask', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('empty'), value(''), rootOnly);
  await guest.store.create(name('large'), value(randomBytes(1024 * 1024)), { mode: 0o777, uid: 1000, gid: 1000 });
  await guest.store.create(name('odd'), value('a\0b\n'), { mode: 0, uid: 4_294_967_294, gid: 4_000_000_000 });
  await guest.store.create(name('n'.repeat(253)), value('long name'), { mode: 0o444, uid: 0, gid: 5 });
  const synced = await guest.agent(['secrets', 'sync'], ['sh', '-c', 'umask 0777; exec "$0" "$@"']);
  assert.equal(synced.stderr, '');
  assert.equal(synced.status, 0);
  assert.deepEqual(synced.stdout.split('\n').sort(), ['', 'added empty', 'added large', `added ${'n'.repeat(253)}`, 'added odd'].sort());
  assertHolds(guest);
});

test('a running agent applies each change as it comes, and a sync through it says what it did', async (context) => {
  const guest = await startGuest(context);
  for (let index = 0; index < 1000; index += 1) {
    await guest.store.create(name(`s${index}`), value(randomBytes(1024)), rootOnly);
  }
  await guest.run();
  assertHolds(guest);
  await guest.store.update(name('s1'), { value: value('changed') });
  await guest.store.update(name('s2'), { mode: 0o640, uid: 7 });
  await guest.store.remove(name('s3'));
  await guest.store.create(name('new'), value('new'), rootOnly);
  await guest.caughtUp();
  assertHolds(guest);
  const synced = await guest.agent(['secrets', 'sync', '-v']);
  assert.match(synced.stdout, /^1000 unchanged, in [0-9.]+ ms\n$/);
  assert.equal(synced.status, 0);
});

test('unchanged files keep their inode and times, also when a restarted host sends everything again', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('kept'), value('kept'), rootOnly);
  await guest.store.create(name('other'), value('one'), rootOnly);
  assert.equal((await guest.agent(['secrets', 'sync'])).stdout, 'added kept\nadded other\n');
  const before = statSync(join(guest.directory, 'kept'), { bigint: true });
  await guest.store.update(name('other'), { value: value('two') });
  // A one-shot sync holds no generation, so the host sends the whole set.
  assert.equal((await guest.agent(['secrets', 'sync'])).stdout, 'changed other\n');
  const after = statSync(join(guest.directory, 'kept'), { bigint: true });
  assert.deepEqual([after.ino, after.mtimeNs, after.ctimeNs], [before.ino, before.mtimeNs, before.ctimeNs]);
  assertHolds(guest);
});

test('what somebody in the guest deletes, alters or replaces is restored at once', async (context) => {
  const guest = await startGuest(context);
  const files = ['deleted', 'rewritten', 'opened', 'replaced', 'linked'];
  for (const file of files) await guest.store.create(name(file), value(`value of ${file}`), rootOnly);
  await guest.run();
  const path = (file: string): string => join(guest.directory, file);
  const restored = (): boolean => {
    try {
      assertHolds(guest);
      return true;
    } catch {
      return false;
    }
  };
  rmSync(path('deleted'));
  await until(guest.directory, restored);
  writeFileSync(path('rewritten'), 'Value of rewritten');
  await until(guest.directory, restored);
  chmodSync(path('opened'), 0o666);
  await until(guest.directory, restored);
  writeFileSync(`${guest.directory}.agent/elsewhere`, 'forged');
  renameSync(`${guest.directory}.agent/elsewhere`, path('replaced'));
  await until(guest.directory, restored);
  rmSync(path('linked'));
  symlinkSync('/etc/passwd', path('linked'));
  await until(guest.directory, restored);
  assert.ok(lstatSync(path('linked')).isFile());
});

test('the agent removes nothing that it did not put there', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('mine'), value('1'), rootOnly);
  await guest.agent(['secrets', 'sync']);
  writeFileSync(join(guest.directory, 'foreign'), 'not a secret');
  await guest.store.remove(name('mine'));
  assert.equal((await guest.agent(['secrets', 'sync'])).stdout, 'removed mine\n');
  assert.deepEqual(readdirSync(guest.directory), ['foreign']);
});

test('a directory in the place of a secret is refused by name, and the old set stays whole', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('a'), value('old'), rootOnly);
  await guest.agent(['secrets', 'sync']);
  mkdirSync(join(guest.directory, 'b'));
  await guest.store.update(name('a'), { value: value('new') });
  await guest.store.create(name('b'), value('new'), rootOnly);
  const synced = await guest.agent(['secrets', 'sync']);
  assert.equal(synced.status, 1);
  assert.equal(synced.stderr, 'slicer-agent: error: b: a directory stands where the secret belongs\n');
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), 'old');
});

test('a host that is not there is one clear line and exit code 1, and the files stay', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.agent(['secrets', 'sync']);
  await guest.vm.close();
  const synced = await guest.agent(['secrets', 'sync']);
  assert.equal(synced.status, 1);
  assert.match(synced.stderr, /^slicer-agent: error: the host can't be reached: [^\n]+\n$/);
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), '1');
});

test('an agent that runs already is the one that syncs', async (context) => {
  const guest = await startGuest(context);
  await guest.run();
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.caughtUp();
  const status = await guest.agent(['status']);
  assert.match(status.stdout, /^slicer-agent [0-9.]+, up [0-9]+ s\nhost: connected\nsecrets: 1, generation "[0-9a-f]{16}\.[0-9]+"\n$/);
  const listed = await guest.agent(['secrets', 'list']);
  assert.equal(listed.stdout, '0600 0:0        1 a\n');
});

test('a disk is refused: secrets are only ever written to memory', async (context) => {
  const guest = await startGuest(context);
  const disk = process.cwd();
  const synced = await guest.agent(['secrets', 'sync'], ['sh', '-c', 'exec "$@" --dir "$0"', `${disk}/secrets`]);
  assert.equal(synced.status, 1);
  assert.match(synced.stderr, /expected .* on tmpfs or ramfs, got file system type 0x[0-9a-f]+/);
});

test('where /run is a disk, the agent mounts a tmpfs of its own, one that is never swapped out', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('a'), value('1'), rootOnly);
  const disk = mkdtempSync(join(process.cwd(), '.run-on-disk-'));
  context.after(() => rmSync(disk, { recursive: true }));
  // A mount namespace of its own, in which /run is that directory.
  const script = 'mount --bind "$0" /run && "$@" --dir /run/slicer/secrets && cat /run/slicer/secrets/a && grep " /run/slicer " /proc/mounts';
  const synced = await guest.agent(['secrets', 'sync'], ['unshare', '--mount', 'sh', '-c', script, disk]);
  assert.equal(synced.stderr, '');
  assert.match(synced.stdout, /^added a\n1slicer \/run\/slicer tmpfs rw,nosuid,nodev/);
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 4)) assert.match(synced.stdout, /noswap/);
  assert.deepEqual(readdirSync(join(disk, 'slicer')), []);
});

test('the agent for arm64 syncs as the one for x86-64 does', async (context) => {
  const guest = await startGuest(context, { architecture: 'aarch64' });
  for (let index = 0; index < 10; index += 1) {
    await guest.store.create(name(`s${index}`), value(randomBytes(100 * index)), { mode: 0o640, uid: index, gid: 4_000_000_000 });
  }
  const synced = await guest.agent(['secrets', 'sync']);
  assert.equal(synced.stderr, '');
  assertHolds(guest);
});
