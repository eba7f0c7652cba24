import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { listenPrivately } from '../../src/live/socket-listener.ts';

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-socket-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function server(t: TestContext): Server {
  const made = createServer((socket) => socket.end());
  t.after(() => made.close());
  return made;
}

/** A socket whose process is no more. */
async function deadSocket(path: string): Promise<void> {
  const owner = createServer().listen(`${path}.owner`);
  await once(owner, 'listening');
  // A server that closes removes the name that it was given.
  renameSync(`${path}.owner`, path);
  await new Promise((resolve) => owner.close(resolve));
  assert.ok(existsSync(path));
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  return Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).finally(() => socket.destroy());
}

test('the socket of a dead process is replaced, and the new one is its owner\'s alone', async (t) => {
  const path = join(temporaryDirectory(t), 'api.sock');
  await deadSocket(path);
  await listenPrivately(server(t), path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(await answers(path));
});

test('of many that find the socket of a dead process at once, one gets its place, and keeps it', async (t) => {
  const directory = temporaryDirectory(t);
  for (let round = 0; round < 10; round += 1) {
    const path = join(directory, `${round}.sock`);
    await deadSocket(path);
    const outcomes = await Promise.all(Array.from({ length: 8 }, () =>
      listenPrivately(server(t), path).then(() => 'listens', ({ code }: { code: string }) => code)));
    assert.deepEqual(outcomes.sort(), [...Array<string>(7).fill('already_running'), 'listens']);
    assert.ok(await answers(path));
  }
  assert.deepEqual(readdirSync(directory).sort(), Array.from({ length: 10 }, (_, round) => `${round}.sock`));
});

test('a socket that somebody serves, and what is no socket, stay', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'api.sock');
  await listenPrivately(server(t), path);
  await assert.rejects(listenPrivately(server(t), path), { code: 'already_running' });
  assert.ok(await answers(path));
  writeFileSync(join(directory, 'file'), 'mine');
  await assert.rejects(listenPrivately(server(t), join(directory, 'file')), { code: 'invalid_request' });
});
