import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  checkSocketPaths, chooseRuntimeDirectory, isRuntimeDirectory, makeRuntimeDirectory, memoryDirectories, removeIfEmpty,
} from '../../src/vm/runtime-directory.ts';

const uid = process.getuid!();

function memoryDirectory(t: TestContext): string {
  const directory = mkdtempSync('/dev/shm/slicer-test-');
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('/run is looked at first, then the user\'s own, then /dev/shm', () => {
  assert.deepEqual(memoryDirectories({ XDG_RUNTIME_DIR: '/run/user/7' }), ['/run', '/run/user/7', '/dev/shm']);
  assert.deepEqual(memoryDirectories({ XDG_RUNTIME_DIR: '' }), ['/run', '/dev/shm']);
});

test('the first memory-backed file system is taken, whatever its name', async (t) => {
  const directory = memoryDirectory(t);
  const chosen = await chooseRuntimeDirectory('/srv/slicer', 1000, ['/proc', '/not/there', directory, '/dev/shm']);
  assert.match(chosen, /^\/dev\/shm\/slicer-test-[^/]+\/slicer-1000\/[0-9a-f]{8}$/);
  assert.ok(isRuntimeDirectory(join(chosen, 'web-1'), 'web-1'));
  assert.notEqual(chosen, await chooseRuntimeDirectory('/srv/other', 1000, [directory]));
});

test('without one the error says where it looked and what to do', async () => {
  await assert.rejects(chooseRuntimeDirectory('/srv/slicer', 1000, ['/proc', '/not/there']), (error: any) => {
    assert.equal(error.code, 'no_memory_file_system');
    assert.match(error.message, /^none of \/proc, \/not\/there is a writable memory-backed file system/);
    assert.match(error.problems[0].hint, /^mount -t tmpfs /);
    return true;
  });
});

test('every level of a VM\'s directory is its owner\'s alone, and empty levels go', async (t) => {
  const ofDaemon = await chooseRuntimeDirectory('/srv/slicer', uid, [memoryDirectory(t)]);
  const directory = join(ofDaemon, 'web-1');
  await makeRuntimeDirectory(directory, uid);
  // Root's VMs have users of their own, who pass through to what is theirs and list nothing.
  const above = uid === 0 ? 0o711 : 0o700;
  assert.deepEqual([directory, ofDaemon, join(ofDaemon, '..')].map((level) => statSync(level).mode & 0o7777), [0o700, above, above]);
  await removeIfEmpty(ofDaemon);
  assert.ok(existsSync(directory));
  rmSync(directory, { recursive: true });
  await removeIfEmpty(ofDaemon);
  assert.ok(!existsSync(join(ofDaemon, '..')));
  await removeIfEmpty(ofDaemon);
});

test('what a VM of that name left behind is not there for the next', async (t) => {
  const directory = join(await chooseRuntimeDirectory('/srv/slicer', uid, [memoryDirectory(t)]), 'web-1');
  await makeRuntimeDirectory(directory, uid);
  writeFileSync(join(directory, 'boot-token'), 'old');
  await makeRuntimeDirectory(directory, uid);
  assert.ok(!existsSync(join(directory, 'boot-token')));
});

const traps: [string, (path: string, elsewhere: string) => void][] = [
  ['a link to elsewhere', (path, elsewhere) => symlinkSync(elsewhere, path)],
  ['a directory that others can list', (path) => { mkdirSync(path); chmodSync(path, 0o755); }],
  ['a file', (path) => writeFileSync(path, '')],
];
for (const [name, lay] of traps) {
  test(`${name} in the place of the user's directory is refused`, async (t) => {
    const base = memoryDirectory(t);
    const elsewhere = mkdtempSync(join(tmpdir(), 'slicer-elsewhere-'));
    t.after(() => rmSync(elsewhere, { recursive: true }));
    lay(join(base, `slicer-${uid}`), elsewhere);
    const directory = join(await chooseRuntimeDirectory('/srv/slicer', uid, [base]), 'web-1');
    await assert.rejects(makeRuntimeDirectory(directory, uid), { code: 'store_not_private' });
  });
}

test('somebody else\'s directory is refused', async (t) => {
  const base = memoryDirectory(t);
  const directory = join(await chooseRuntimeDirectory('/srv/slicer', uid, [base]), 'web-1');
  await makeRuntimeDirectory(directory, uid);
  await assert.rejects(makeRuntimeDirectory(directory, uid + 1), { code: 'store_not_private' });
});

test('a socket path of 107 bytes is taken and one of 108 is refused with both numbers', () => {
  const directory = (bytes: number): string => `/${'d'.repeat(bytes - 1 - '/vm.vsock_901'.length)}`;
  checkSocketPaths('web-1', directory(107));
  assert.throws(() => checkSocketPaths('web-1', directory(108)), (error: any) => {
    assert.equal(error.code, 'invalid_request');
    assert.match(error.message, /^the socket path of vm "web-1" is 108 bytes, the limit is 107: /);
    return true;
  });
});
