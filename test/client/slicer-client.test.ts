import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import type { Address } from '../../src/client/address.ts';
import { createClient } from '../../src/client/slicer-client.ts';
import { createApiServer, node } from './api-server.ts';

const TOKEN = 'a-token';
const directory = mkdtempSync(join(tmpdir(), 'slicer-client-'));
const socket = join(directory, 'slicer.sock');
const api = createApiServer();
const guarded = createApiServer({ token: TOKEN });
let tcp: Address;

before(async () => {
  api.nodes.set('web-1', node('web-1'));
  await api.listen(socket);
  const { port } = (await guarded.listen({ port: 0 })).address() as AddressInfo;
  tcp = { kind: 'tcp', isTls: false, host: '127.0.0.1', port, basePath: '' };
});
after(async () => {
  await api.close();
  await guarded.close();
  rmSync(directory, { recursive: true });
});

const unix = (path: string): Address => ({ kind: 'unix', path });
const clientAt = (...addresses: Address[]) => createClient({ addresses, token: undefined });
const client = clientAt(unix(socket));

test('the first socket that answers is spoken to', async () => {
  const stale = join(directory, 'stale.sock');
  const other = createServer().listen(stale);
  await once(other, 'listening');
  // A socket whose process was killed stays behind, and refuses.
  writeFileSync(join(directory, 'file.sock'), '');
  other.close();
  const { version } = await clientAt(unix(join(directory, 'absent.sock')), unix(join(directory, 'file.sock')), unix(socket)).info();
  assert.equal(version, '0.1.0');
});

test('when none answers, the error says what was tried and how to start one', async () => {
  const [absent, file] = [join(directory, 'absent.sock'), join(directory, 'file.sock')];
  writeFileSync(file, '');
  await assert.rejects(clientAt(unix(absent), unix(file)).info(), {
    code: 'daemon_unreachable',
    message: `no daemon answers: tried ${absent} (not there), ${file} (nobody listens)`,
    problems: [{ code: 'daemon_unreachable', message: `no daemon answers: tried ${absent} (not there), ${file} (nobody listens)`, hint: 'start one with: slicer up' }],
  });
});

test('over TCP a request carries the token', async () => {
  const { version } = await createClient({ addresses: [tcp], token: TOKEN }).info();
  assert.equal(version, '0.1.0');
  assert.equal(guarded.authorizations.at(-1), `Bearer ${TOKEN}`);
});

test('without the token the daemon\'s own error comes back', async () => {
  await assert.rejects(clientAt(tcp).info(), { code: 'unauthorized', exitCode: 6 });
});

test('names are escaped in paths, so that one cannot reach another route', async () => {
  await assert.rejects(client.vmHealth('web-1/../x'), { code: 'vm_not_found' });
  await assert.rejects(client.removeSecret('a?wait=1s'), { code: 'invalid_name' });
  for (const name of ['', '.', '..']) assert.throws(() => client.vmLogs(name, 0), { code: 'invalid_name' });
});

test('a value of 1 MiB goes through', async () => {
  const { size } = await client.createSecret({ name: 'large', data: Buffer.alloc(1024 * 1024, 0xff).toString('base64') });
  assert.equal(size, 1024 * 1024);
});

test('an answer that is not of this API is told apart from one that is', async () => {
  const other = createServer((request, response) => {
    response.statusCode = request.url === '/secrets' ? 200 : 404;
    response.end('<html>');
  }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const stranger = clientAt({ kind: 'tcp', isTls: false, host: '127.0.0.1', port, basePath: '' });
  await assert.rejects(stranger.listSecrets(), { code: 'internal' });
  await assert.rejects(stranger.info(), { code: 'not_found' });
  other.close();
});

test('a connection that breaks before the answer is told as such', async () => {
  const broken = createServer((request) => request.socket.destroy()).listen(0, '127.0.0.1');
  await once(broken, 'listening');
  const { port } = broken.address() as AddressInfo;
  await assert.rejects(clientAt({ kind: 'tcp', isTls: false, host: '127.0.0.1', port, basePath: '' }).info(), { code: 'daemon_unreachable' });
  broken.close();
});

test('a base path stands before every route', async () => {
  const paths: unknown[] = [];
  const proxy = createServer((request, response) => {
    paths.push(request.url, request.headers.host);
    response.end('[]');
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  await clientAt({ kind: 'tcp', isTls: false, host: '127.0.0.1', port, basePath: '/slicer' }).listSecrets();
  assert.deepEqual(paths, ['/slicer/secrets', `127.0.0.1:${port}`]);
  proxy.close();
});

async function run(request: Parameters<typeof client.exec>[1]) {
  const output = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[], exitCode: -1 };
  for await (const event of client.exec('web-1', request)) {
    if (event.type === 'exit') output.exitCode = event.exitCode;
    else if (event.type !== 'started') output[event.type].push(event.data);
  }
  return { exitCode: output.exitCode, stdout: Buffer.concat(output.stdout), stderr: Buffer.concat(output.stderr) };
}

test('exec keeps stdout and stderr apart and gives the exit code', async () => {
  const { exitCode, stdout, stderr } = await run({ command: ['sh', '-c', 'printf out; printf err >&2; exit 7'] });
  assert.deepEqual([exitCode, String(stdout), String(stderr)], [7, 'out', 'err']);
});

test('exec carries any bytes in both directions at once', async () => {
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * 7919) % 256));
  const { stdout } = await run({ command: ['cat'], stdin: Readable.from([bytes.subarray(0, 300_000), bytes.subarray(300_000)]) });
  assert.ok(stdout.equals(bytes));
});

test('a command that answers each line as it comes is answered in turn', async () => {
  const stdin = new Readable({ read() {} });
  const seen: string[] = [];
  stdin.push('one\n');
  for await (const event of client.exec('web-1', { command: ['sh', '-c', 'while read x; do echo "<$x>"; done'], stdin })) {
    if (event.type !== 'stdout') continue;
    seen.push(String(event.data));
    stdin.push(seen.length < 3 ? 'more\n' : null);
  }
  assert.deepEqual(seen, ['<one>\n', '<more>\n', '<more>\n']);
});

test('a command that ends without reading its stdin ends the call', async () => {
  const endless = new Readable({ read() { this.push(Buffer.alloc(65_536)); } });
  const { exitCode } = await run({ command: ['sh', '-c', 'exit 3'], stdin: endless });
  assert.equal(exitCode, 3);
});

test('a command that waits for no stdin is started though none comes', async () => {
  const { exitCode } = await run({ command: ['sh', '-c', 'exit 4'], stdin: new Readable({ read() {} }) });
  assert.equal(exitCode, 4);
});

test('leaving the iteration ends the command', async () => {
  const ended = once(api.ended, 'ended');
  for await (const event of client.exec('web-1', { command: ['sleep', '600'] })) if (event.type === 'started') break;
  const [event] = (await ended) as [CustomEvent];
  assert.equal(event.detail, 'SIGKILL');
});

test('an aborted call ends the command and throws the reason', async () => {
  const ended = once(api.ended, 'ended');
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const event of client.exec('web-1', { command: ['sleep', '600'], signal: controller.signal })) {
      if (event.type === 'started') controller.abort(new Error('enough'));
    }
  });
  await ended;
});

test('a command line larger than Node\'s default header limit goes through', async () => {
  const { stdout } = await run({ command: ['printf', '%s', 'x'.repeat(60_000)] });
  assert.equal(stdout.byteLength, 60_000);
});

test('an answer that comes before the body is sent is not lost', async () => {
  for (let round = 0; round < 50; round += 1) {
    const stdin = Readable.from((async function* () {
      yield Buffer.from('x');
      await new Promise((resolve) => setImmediate(resolve));
      yield Buffer.from('y');
    })());
    const events = client.exec('absent', { command: ['id'], stdin });
    await assert.rejects(events.next(), { code: 'vm_not_found' });
  }
});
