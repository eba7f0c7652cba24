import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dial } from '../../src/client/dial.ts';
import { chooseConnection } from '../../src/client/discovery.ts';
import { trustedOwners } from '../../src/client/socket-owner.ts';

const skip = process.geteuid?.() !== 0 && 'run as root';
const OTHER = 1000;

/** `slicer.sock`, on which somebody listens, in a directory of its own. */
async function socketIn(t: TestContext): Promise<{ directory: string; path: string }> {
  const parent = mkdtempSync(join(tmpdir(), 'slicer-owner-'));
  const directory = join(parent, 'work');
  mkdirSync(directory);
  const path = join(directory, 'slicer.sock');
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(path);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    rmSync(parent, { recursive: true });
  });
  return { directory, path };
}

const reaches = async (path: string, owners: readonly number[] | undefined): Promise<boolean> => {
  try {
    const { socket } = await dial([{ kind: 'unix', path, ...(owners === undefined ? {} : { owners }) }]);
    socket.destroy();
    return true;
  } catch (error) {
    assert.match((error as Error).message, /another user's; to use it, name it with --url/);
    return false;
  }
};

const places: readonly [string, boolean, (directory: string, path: string) => void][] = [
  ['of one\'s own is used', true, () => undefined],
  ['of another user is not', false, (_directory, path) => chownSync(path, OTHER, OTHER)],
  ['in the directory of another user is not', false, (directory) => chownSync(directory, OTHER, OTHER)],
  ['in a directory that all may write to is not', false, (directory) => chmodSync(directory, 0o777)],
  ['in a directory like /tmp is used', true, (directory) => chmodSync(directory, 0o1777)],
  ['that is another user\'s link is not', false, (directory, path) => {
    symlinkSync(path, `${directory}/link`);
    lchownSync(`${directory}/link`, OTHER, OTHER);
  }],
];
for (const [which, isUsed, arrange] of places) {
  test(`a socket that nobody named ${which}`, { skip }, async (t) => {
    const { directory, path } = await socketIn(t);
    arrange(directory, path);
    const target = which.includes('link') ? join(directory, 'link') : path;
    assert.equal(await reaches(target, trustedOwners({})), isUsed);
    assert.equal(await reaches(target, undefined), true, 'named, it is used in any case');
  });
}

test('who runs a command through sudo may own the socket and its directory', { skip }, async (t) => {
  const { directory, path } = await socketIn(t);
  chownSync(directory, OTHER, OTHER);
  assert.equal(await reaches(path, trustedOwners({ SUDO_UID: String(OTHER) })), true);
  assert.equal(await reaches(path, trustedOwners({ SUDO_UID: '1001' })), false);
});

test('the usual sockets are those that nobody named', () => {
  for (const address of chooseConnection({}, {}).addresses) assert.ok(address.kind === 'unix' && address.owners !== undefined);
  for (const address of chooseConnection({ url: './slicer.sock' }, {}).addresses) assert.ok(address.kind === 'unix' && address.owners === undefined);
});
