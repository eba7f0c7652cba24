// One HTTP request with descriptors attached, to a peer that is not Node and so can take them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { AGENT, outcomeOf, type AgentResult } from './guest-fixture.ts';
import { startPeer } from './unix-peer.ts';

function send(path: string, request: string | Buffer, descriptors: readonly number[] = []): Promise<AgentResult> {
  const child = spawn(AGENT, ['http-fds', '--socket', path, '--count', String(descriptors.length)], { stdio: ['pipe', 'pipe', 'pipe', ...descriptors] });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(request);
  return outcomeOf(child);
}

const REQUEST = 'PUT /api/v1/vm.add-net HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}';

test('descriptors from 3 on arrive with the request, and the response is printed as it came', async (context) => {
  const path = `/dev/shm/slicer-http-${process.pid}`;
  const peer = await startPeer(context, 'descriptors', path);
  const response = 'HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\n{"id":"_x"}';
  peer.stdin.end(response);
  let seen = '';
  peer.stdout.on('data', (chunk) => (seen += chunk));
  const files = ['/dev/zero', '/etc/passwd', '/dev/full'].map((file) => openSync(file, 'r'));
  const { status, stdout, stderr } = await send(path, REQUEST, files);
  files.forEach((file) => closeSync(file));
  assert.equal(stderr, '');
  assert.equal(stdout, response);
  assert.equal(status, 0);
  if (peer.exitCode === null) await once(peer, 'close');
  assert.equal(seen, `${REQUEST.length} bytes\n/dev/zero\n/etc/passwd\n/dev/full\n`);
});

for (const [what, response] of [
  ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['that is an error', 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\n["x"'],
] as const) {
  test(`a response ${what} is a response`, async (context) => {
    const path = `/dev/shm/slicer-http-${what.length}-${process.pid}`;
    const server = createServer((socket) => socket.once('data', () => socket.write(response))).listen(path);
    await once(server, 'listening');
    context.after(() => server.close());
    assert.deepEqual(await send(path, REQUEST), { status: 0, stdout: response, stderr: '' });
  });
}

for (const [what, response, error] of [
  ['that stops early', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345', /the other side closed the connection/],
  ['that is none', 'hello\n\n\r\n\r\n', /expected an HTTP start line/],
  ['without end', `HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n${'x'.repeat(2_000_000)}`, /expected a response of at most 1048576 bytes/],
] as const) {
  test(`of a response ${what} nothing is printed, and one line says so`, async (context) => {
    const path = `/dev/shm/slicer-http-bad-${what.length}-${process.pid}`;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(response));
    }).listen(path);
    await once(server, 'listening');
    context.after(() => server.close());
    const { status, stdout, stderr } = await send(path, REQUEST);
    assert.equal(stdout, '');
    assert.match(stderr, error);
    assert.equal(stderr.split('\n').length, 2);
    assert.equal(status, 1);
  });
}

test('a request that is too large, none, and a socket that is not there are refused', async () => {
  assert.match((await send('/dev/shm/slicer-no-such', 'x'.repeat(65537))).stderr, /expected a request of at most 65536 bytes on stdin/);
  assert.match((await send('/dev/shm/slicer-no-such', '')).stderr, /expected an HTTP request on stdin/);
  assert.match((await send('/dev/shm/slicer-no-such', REQUEST)).stderr, /^slicer-agent: error: connect to a socket: No such file or directory\n$/);
});
