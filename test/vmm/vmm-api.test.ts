// A peer that speaks whatever bytes a test says over a real socket.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { printable, REQUEST_MAX_BYTES, vmmRequest } from '../../src/vmm/vmm-api.ts';

const forever = new AbortController().signal;
let directory: string;
let path: string;
let server: Server | undefined;
const open = new Set<Socket>();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slicer-api-'));
  path = join(directory, 'api.sock');
});
afterEach(() => {
  for (const socket of open) socket.destroy();
  server?.close();
  server = undefined;
  rmSync(directory, { recursive: true });
});

/** Collects each request whole, then does what `answer` says. */
async function serve(answer: (socket: Socket, request: string) => void): Promise<void> {
  server = createServer((socket) => {
    let text = '';
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const [head = '', body] = text.split(/\r\n\r\n(.*)/s);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (body !== undefined && body.length >= length) answer(socket, text);
    });
  }).listen(path);
  await once(server, 'listening');
}

/** As micro_http writes it. */
const answered = (status: string, body: string): string =>
  `HTTP/1.1 ${status} \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n`
  + `Content-Length: ${body.length}\r\n\r\n${body}`;

test('a request is one of HTTP/1.1 with its length, and its answer is JSON', async () => {
  const requests: string[] = [];
  await serve((socket, text) => {
    requests.push(text);
    socket.write(answered('200', '{"version":"v53.0"}'));
  });
  assert.deepEqual(await vmmRequest({ control: path }, 'PUT', '/api/v1/vm.create', { a: 'b' }, forever), { version: 'v53.0' });
  const [head, body] = requests[0]!.split('\r\n\r\n') as [string, string];
  assert.deepEqual(head.split('\r\n'), [
    'PUT /api/v1/vm.create HTTP/1.1', 'Host: localhost', 'Accept: application/json', 'Content-Type: application/json',
    'Content-Length: 9', 'Connection: close',
  ]);
  assert.equal(body, '{"a":"b"}');
});

test('a request without a body says that it has none', async () => {
  const requests: string[] = [];
  await serve((socket, text) => {
    requests.push(text);
    socket.write('HTTP/1.1 204 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n');
  });
  assert.equal(await vmmRequest({ control: path }, 'PUT', '/api/v1/vm.boot', undefined, forever), undefined);
  await vmmRequest({ control: path }, 'GET', '/api/v1/vmm.ping', undefined, forever);
  assert.match(requests[0]!, /^PUT \/api\/v1\/vm\.boot HTTP\/1\.1\r\n(?!.*Transfer-Encoding).*Content-Length: 0\r\n.*\r\n\r\n$/s);
  assert.doesNotMatch(requests[1]!, /content-length|content-type|transfer-encoding/i);
});

const failures: Record<string, [(socket: Socket, request: string) => void, string]> = {
  '400 with its reason': [
    (socket) => socket.write(answered('400', '["Failed to deserialize JSON","unknown field `x`, expected `cpus`"]')),
    'the VMM answered PUT /x with status 400: ["Failed to deserialize JSON","unknown field `x`, expected `cpus`"]',
  ],
  '500 without a word': [(socket) => socket.write(answered('500', '')), 'the VMM answered PUT /x with status 500'],
  'a redirection': [(socket) => socket.write(answered('301', '')), 'the VMM answered PUT /x with status 301'],
  'the request itself': [
    (socket, request) => socket.write(answered('400', `bad body: ${request.split('\r\n\r\n')[1]}`)),
    'the VMM answered PUT /x with status 400: bad body: {"secret":"[redacted]',
  ],
  'half a head': [(socket) => socket.end('HTTP/1.1 204 \r\nServer: Clo'), 'the VMM closed its API socket before it had answered PUT /x'],
  'half a body': [
    (socket) => socket.end(answered('200', 'x'.repeat(100)).slice(0, -50)),
    'the VMM closed its API socket before it had answered PUT /x',
  ],
  'nothing, and closes': [(socket) => socket.end(), 'the VMM closed its API socket before it had answered PUT /x'],
  'another protocol': [
    (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: secret\r\n\r\n'),
    'the VMM closed its API socket before it had answered PUT /x',
  ],
  'what is no HTTP': [(socket) => socket.write('220 mail ESMTP\r\n'), 'the VMM\'s answer to PUT /x is no HTTP (HPE_INVALID_CONSTANT)'],
  'what is no JSON': [
    (socket, request) => socket.write(answered('200', request.split('\r\n\r\n')[1]!.slice(1))),
    'the VMM answered PUT /x with 59 characters that are no JSON',
  ],
  'no end': [
    (socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(70_000)}`),
    'the VMM answered PUT /x with more than 65536 bytes',
  ],
};

for (const [what, [answer, message]] of Object.entries(failures)) {
  test(`a VMM that answers with ${what} is an error without the value`, async () => {
    await serve(answer);
    const body = { secret: 'io.systemd.credential.binary:token=c2VjcmV0IQ==' };
    await assert.rejects(vmmRequest({ control: path }, 'PUT', '/x', body, forever), (error: any) => {
      assert.deepEqual([error.code, error.message, error.cause], ['launch_failed', message, undefined]);
      return true;
    });
  });
}

test('a VMM that does not answer is waited for until the signal says otherwise', async () => {
  const abort = new AbortController();
  await serve(() => abort.abort(new Error('enough')));
  await assert.rejects(vmmRequest({ control: path }, 'PUT', '/x', {}, abort.signal), { message: 'enough' });
});

test('a signal that has aborted before lets nothing be sent', async () => {
  await assert.rejects(vmmRequest({ control: path }, 'PUT', '/x', {}, AbortSignal.abort(new Error('late'))), { message: 'late' });
});

test('a VMM that is not there is an error', async () => {
  await assert.rejects(vmmRequest({ control: path }, 'GET', '/x', undefined, forever), {
    code: 'launch_failed', message: 'the VMM\'s API socket could not be asked for GET /x: ENOENT',
  });
});

for (const [size, sent] of [[REQUEST_MAX_BYTES - 1, true], [REQUEST_MAX_BYTES, true], [REQUEST_MAX_BYTES + 1, false]] as const) {
  test(`a body of ${size} bytes is ${sent ? 'sent' : 'refused before a byte is sent'}`, async () => {
    const lengths: (string | undefined)[] = [];
    await serve((socket, text) => {
      lengths.push(/content-length: (\d+)/i.exec(text)?.[1]);
      socket.write(answered('204', ''));
    });
    const asked = vmmRequest({ control: path }, 'PUT', '/x', { a: 'x'.repeat(size - '{"a":""}'.length) }, forever);
    if (sent) await asked;
    else await assert.rejects(asked, { code: 'launch_failed', message: 'the body of PUT /x is 51201 bytes; the VMM takes 51200' });
    assert.deepEqual(lengths, sent ? [String(size)] : []);
  });
}

test('what a VMM says is printed in one short line, whatever it is', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 1000 }), (text) => {
    assert.match(printable(text), /^[\x20-\x7e]{0,200}$/);
  }));
});

test('a credential in what a VMM says is not printed, wherever it stands', () => {
  const value = fc.uint8Array({ minLength: 6, maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  fc.assert(fc.property(fc.string({ maxLength: 150 }), value, fc.string(), (before, encoded, after) => {
    fc.pre(!before.includes(encoded));
    assert.ok(!printable(`${before}io.systemd.credential.binary:name=${encoded}${after}`).includes(encoded));
  }));
});

test('a long run of base64 is not printed without its prefix either', () => {
  assert.equal(printable(`invalid "${'QUJD'.repeat(8)}==" here`), 'invalid "[redacted]" here');
});
