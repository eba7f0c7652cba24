// All that a client of the REST API can write to a connection, from its first byte on: the real server and
// router, over a store in memory.
import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import { duplexPair } from 'node:stream';
import { fromErrorBody } from '../../../src/api/error-body.ts';
import { routes } from '../../../src/api/routes.ts';
import { serverFor } from '../../../src/daemon/api-server.ts';
import { bySocket, byToken } from '../../../src/daemon/caller.ts';
import { CATALOGUE } from '../../../src/errors/catalogue.ts';
import { answersIn } from '../api-answers.ts';
import { daemonInMemory, type MemoryDaemon } from '../daemon-in-memory.ts';
import type { Target } from '../engine.ts';
import { pieces } from '../expectations.ts';

const VALUE = 'k9zSTOREDk9z';
const [ADMIN, READER] = ['admin-0123456789abcdef', 'reader-0123456789abcdef'];
const KINDS = ['token', 'token', 'socket', 'reader', 'open'] as const;

interface Listener {
  readonly server: Server;
  /** Requests that have no whole answer yet. */
  open: number;
}

let daemon: MemoryDaemon;
let listeners: Map<(typeof KINDS)[number], Listener> | undefined;

function start(): Map<(typeof KINDS)[number], Listener> {
  daemon = daemonInMemory(VALUE);
  const tokens = [{ name: 'token', role: 'admin', token: ADMIN }, { name: 'metrics', role: 'read', token: READER }] as const;
  const options = {
    token: { identify: byToken(tokens), isOpen: false }, socket: { identify: bySocket('admin'), isOpen: true },
    reader: { identify: bySocket('read'), isOpen: true }, open: { identify: byToken(undefined), isOpen: true },
  };
  return new Map(Object.entries(options).map(([kind, option]) => {
    const listener: Listener = { server: serverFor(daemon.router, option), open: 0 };
    listener.server.on('request', (_request, response) => {
      listener.open += 1;
      response.once('close', () => (listener.open -= 1));
    });
    return [kind as 'token', listener];
  }));
}

/** What the description of the API has, and what Node's server refuses before there is a request; none is a fault of the daemon's. */
const STATUSES: ReadonlySet<number> = new Set([
  ...Object.values(routes).flatMap(({ responses }) => Object.keys(responses).map(Number)),
  100, 404, 405, 408, 417, 431,
].filter((status) => status !== 500));

/** A request takes some tens of turns; one that reads /proc, some hundreds. Past them, others of this machine have their turn: a millisecond each. */
const QUICK_TURNS = 1_000;
const TURNS_MAX = QUICK_TURNS + 20_000;
const turn = (count: number): Promise<void> => new Promise((resolve) => (count < QUICK_TURNS ? setImmediate(resolve) : setTimeout(resolve, 1)));

const request = (line: string, ...headers: string[]): string => [`${line} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');
const withBody = (line: string, body: object, ...headers: string[]): string =>
  request(line, ...headers, 'Content-Type: application/json', `Content-Length: ${JSON.stringify(body).length}`) + JSON.stringify(body);
const TOKEN = `Authorization: Bearer ${ADMIN}`;
const SECRET = { name: 'new-one', value: Buffer.from('x').toString('base64'), permissions: '0600' };

const requests: Target = {
  name: 'api-requests',
  of: 'src/daemon/api-server.ts, router.ts and its routes: what a client sends to the daemon',
  corpus: [
    request('GET /secrets', TOKEN), request('GET /secrets'), request('GET /healthz'), request('HEAD /healthz'), request('GET /info', `Authorization: Bearer ${READER}`), request('GET /openapi.json', TOKEN),
    withBody('POST /secrets', SECRET, TOKEN), withBody('POST /secrets?wait=1s', SECRET, TOKEN), withBody('PATCH /secrets/api-key', { permissions: '0644' }, TOKEN), request('DELETE /secrets/api-key', TOKEN),
    withBody('POST /nodes', { hostname: 'vm-2', vsock: '/nowhere/v.sock', secrets: ['api-key'] }, TOKEN), withBody('POST /hostgroup/web/nodes?wait=agent&timeout=1s', { cpus: 1, tags: ['a'] }, TOKEN),
    request('GET /nodes?tag=x&tag_prefix=y', TOKEN), request('DELETE /nodes/web-1', TOKEN), request('GET /hostgroup', TOKEN), request('GET /hostgroup/web/nodes', TOKEN), request('DELETE /hostgroup/web/nodes/web-1', TOKEN),
    request('GET /vm/web-1/logs?lines=5', TOKEN), request('GET /vm/web-1/health', TOKEN), request('GET /vm/web-1/secrets', TOKEN), request('GET /nodes/secrets', TOKEN), request('GET /store', TOKEN),
    request('POST /vm/web-1/exec?cmd=id&args=-u&uid=0&stdin=true', TOKEN, 'Content-Length: 2') + 'ab', request('GET /audit?since=2026-01-01T00:00:00Z&vm=web-1', TOKEN), request('GET /metrics', TOKEN),
    request('GET /secrets', TOKEN) + request('DELETE /secrets/api-key', TOKEN) + request('GET /secrets', TOKEN), `${request('POST /secrets', TOKEN, 'Transfer-Encoding: chunked')}2\r\n{}\r\n0\r\n\r\n`,
  ],
  words: [
    TOKEN, READER, 'Bearer ', 'bearer', 'GET ', 'HEAD ', 'OPTIONS ', 'CONNECT localhost:1', 'PUT ', 'TRACE ', 'api-key', 'web-1', '/healthz', '/healthz/../secrets', '//healthz', '/secrets/%2e%2e', '/secrets/a%2fb', '/secrets/%ff', '/secrets/%00',
    '?follow=true', '?wait=1s', '?wait=', '?x[__proto__]=1', '&cmd=', '#', 'http://localhost/secrets', 'http://evil/secrets', '*', 'HTTP/1.0', 'Origin: http://evil\r\n', 'Host: evil\r\n', 'Host: localhost:99999\r\n', 'Host: [::1\r\n', 'Host: a b\r\n',
    'Content-Length: 0\r\n', 'Content-Length: 99999999999\r\n', 'Content-Length: -1\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: gzip\r\n', 'Content-Type: text/plain\r\n', 'Expect: 100-continue\r\n', 'Expect: x\r\n',
    'Connection: Upgrade\r\nUpgrade: h2c\r\n', 'Connection: close\r\n', '\r\n\r\n', '\r\n',
  ],
  maxBytes: 20_000,
  check: async (input, random) => {
    listeners ??= start();
    const kind = random.pick(KINDS);
    const listener = listeners.get(kind) as Listener;
    daemon.reset();
    const before = daemon.state();
    const [client, hostSide] = duplexPair();
    const received: Buffer[] = [];
    client.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined);
    hostSide.on('error', () => undefined);
    listener.server.emit('connection', hostSide);
    for (const piece of pieces(random, input)) client.write(piece);
    const answered = async (turns: number): Promise<void> => {
      for (let count = 0; count < turns && (count < 4 || listener.open > 0 || daemon.listeners() > 0); count += 1) await turn(count);
    };
    // What waits for more of the request, or for news, ends with the connection.
    await answered(40);
    client.end();
    await answered(200);
    const wasEnded = hostSide.destroyed || hostSide.writableEnded;
    client.destroy();
    hostSide.destroy();
    await answered(TURNS_MAX);
    assert.equal(listener.open, 0, 'a request that never ends');
    assert.equal(daemon.listeners(), 0, 'somebody who left still waits');
    assert.deepEqual(daemon.takeErrors(), []);

    const text = Buffer.concat(received).toString('latin1');
    const { answers, rest } = answersIn(text, input.includes('HEAD '));
    assert.ok(rest === '' || wasEnded, `half an answer: ${JSON.stringify(rest.slice(0, 500))}`);
    assert.ok(!text.includes(VALUE) && !text.includes(Buffer.from(VALUE).toString('base64')), 'a value is told');
    const mayRead = kind !== 'token' || input.includes(ADMIN) || input.includes(READER);
    for (const { status, headers, body } of answers) {
      assert.ok(STATUSES.has(status), `an answer with status ${status}: ${body.slice(0, 500)}`);
      if (status < 200 || body === '') continue;
      if (status >= 400) {
        assert.match(headers.get('content-type') ?? '', /^application\/json/);
        const error = fromErrorBody(JSON.parse(Buffer.from(body, 'latin1').toString()));
        assert.ok(error !== undefined, body);
        assert.ok(CATALOGUE[error.code].status === status || (error.code === 'invalid_request' && [408, 417, 431].includes(status)), `${error.code} with status ${status}`);
        assert.ok(body.length < 60_000, `an error of ${body.length} bytes`);
      } else if (!mayRead) assert.equal(body, '{"status":"ok"}');
    }
    for (const { status, body } of answers) if (status >= 400 && !input.includes('HEAD ')) assert.notEqual(body, '', `an empty answer with status ${status}`);
    const mayChange = kind === 'socket' || kind === 'open' || (kind === 'token' && input.includes(ADMIN));
    if (!mayChange) assert.equal(daemon.state(), before, 'a change by one who may not');
  },
};

export const daemonRequestTargets: readonly Target[] = [requests];
