// All that a guest can write to a connection: one that it opened to the host, and one that the host dialled.
import assert from 'node:assert/strict';
import { duplexPair, type Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { execEvents, outputText } from '../../../src/daemon/exec-output.ts';
import { agentCall } from '../../../src/live/agent-call.ts';
import { AgentConnection } from '../../../src/live/agent-connection.ts';
import { AgentSockets } from '../../../src/live/agent-sockets.ts';
import { Archives } from '../../../src/live/archives.ts';
import { report } from '../../../src/live/guest-messages.ts';
import { guestServer } from '../../../src/live/guest-server.ts';
import { offerSession } from '../../../src/live/handshake.ts';
import { readJson } from '../../../src/live/json-body.ts';
import { LIVE_LIMITS, type LiveLimits } from '../../../src/live/limits.ts';
import { respondEmpty, respondError } from '../../../src/live/response.ts';
import { scopeOf } from '../../../src/live/scope.ts';
import { SecretsRoute } from '../../../src/live/secrets-route.ts';
import { UserdataRoute } from '../../../src/live/userdata-route.ts';
import { viewOf } from '../../../src/live/view.ts';
import { encodeFrame, FRAME } from '../../../src/wire/exec-frames.ts';
import { asciiBytes, MessageReader, statusOf } from '../../../src/wire/http.ts';
import { MemoryStore } from '../../live/memory-store.ts';
import type { Target } from '../engine.ts';
import { assertNoControls, CANARY, isRefusal, pieces } from '../expectations.ts';
import type { Random } from '../random.ts';

const KEY = '7b'.repeat(32);
const UNLIMITED = { burst: 1e9, perSecond: 1e9 };
const LIMITS: LiveLimits = {
  ...LIVE_LIMITS, connectionsMax: 4, connections: UNLIMITED, hellos: UNLIMITED, requests: UNLIMITED, reports: UNLIMITED, packing: UNLIMITED,
};
/** Turns of the event loop after which all that was written has had its answer. */
const TURNS = 6;

/** The host's server as one guest has it, save for the dial that a hello begins. */
function serverOfOneGuest() {
  const store = new MemoryStore();
  store.set('api-key', CANARY);
  const snapshot = store.snapshot();
  const userdata = new UserdataRoute({ userdata: Buffer.from(CANARY) }, LIMITS, () => undefined);
  const faults: unknown[] = [];
  const secrets = new SecretsRoute({
    archives: new Archives(), limits: LIMITS, monotonicMs: () => 0, epoch: '0123456789abcdef', view: () => viewOf(snapshot, scopeOf('all', [])),
    onHeld: () => undefined, onRead: async () => undefined, onRefused: () => undefined, onPollEnd: () => undefined, onFault: (error) => void faults.push(error),
  });
  const { server, connections } = guestServer({
    limits: LIMITS, monotonicMs: () => 0, key: () => KEY, refused: () => undefined, hello: (response) => respondEmpty(response, 202, LIMITS),
    serve: (route, request, response) => {
      if (route === 'GET /v1/secrets?wait') return secrets.serve('poll', request, response);
      if (route === 'GET /v1/secrets') return secrets.serve('now', request, response);
      const work = route === 'POST /v1/userdata' ? userdata.handOut(response)
        : route === 'PUT /v1/userdata' ? userdata.takeResult(request, response)
        : route === 'POST /v1/report' ? readJson(request, report).then((body) => respondEmpty(response, 'status' in body ? body.status : 204, LIMITS))
        : Promise.resolve(respondError(response, 404, 'not_found', 'no such resource', LIMITS));
      work.catch((error: unknown) => {
        if (!response.destroyed) faults.push(error);
      });
    },
  });
  return { server, connections, faults };
}

let host: ReturnType<typeof serverOfOneGuest> | undefined;

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const request = (line: string, ...headers: string[]): string => [`${line} HTTP/1.1`, 'Host: slicer', ...headers, '', ''].join('\r\n');
const AUTHORIZED = `Authorization: Bearer ${KEY}`;
const STATUSES: ReadonlySet<number> = new Set([200, 202, 204, 226, 304, 400, 401, 404, 411, 413, 417, 429]);

const server: Target = {
  name: 'guest-requests',
  of: 'src/live/guest-server.ts and its routes: what a guest sends to the host',
  corpus: [
    request('POST /v1/hello'), request('GET /v1/secrets', AUTHORIZED), request('GET /v1/secrets', AUTHORIZED, 'If-None-Match: "0123456789abcdef.1"', 'A-IM: slicer-tar'),
    request('GET /v1/secrets?wait', AUTHORIZED), `${request('POST /v1/report', AUTHORIZED, 'Content-Length: 29')}{"generation":"","errors":[]}`,
    `${request('PUT /v1/userdata', AUTHORIZED, 'Content-Length: 27')}{"exit_code":0,"output":""}`, request('GET /v1/secrets', `Authorization: Bearer ${'0'.repeat(64)}`),
    request('POST /v1/hello') + request('GET /v1/secrets', AUTHORIZED), `${request('POST /v1/report', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
  ],
  words: [
    'Transfer-Encoding: chunked\r\n', 'Content-Length: 5\r\n', 'Content-Length: 99999999999\r\n', 'Expect: 100-continue\r\n', 'Connection: Upgrade\r\nUpgrade: h2c\r\n', 'CONNECT 900 HTTP/1.1',
    'X-Forwarded-For: vm-2\r\n', 'Host: vm-2\r\n', 'http://vm-2/v1/secrets', '//v1/secrets', '/v1/%73ecrets', '/v1/secrets/../secrets', '/v1/secrets%00', 'HTTP/1.0', '\r\n\r\n', AUTHORIZED, 'Bearer ', 'bearer',
  ],
  maxBytes: 12_000,
  check: async (input, random) => {
    host ??= serverOfOneGuest();
    const [guest, hostSide] = duplexPair();
    const received: Buffer[] = [];
    guest.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined);
    host.server.emit('connection', hostSide);
    for (const piece of pieces(random, input)) guest.write(piece);
    await turns(TURNS);
    const wasEnded = hostSide.destroyed;
    guest.destroy();
    hostSide.destroy();
    const answers = Buffer.concat(received);
    let status = 0;
    let seen = 0;
    const reader = new MessageReader({
      onHead: (head) => {
        status = statusOf(head);
        seen += 1;
        assert.ok(STATUSES.has(status), `an answer with status ${status}`);
      },
      onBody: () => undefined,
      onEnd: () => undefined,
    });
    reader.push(answers);
    // An answer is whole unless what came behind its request ended the connection.
    assert.ok(reader.idle || wasEnded, `half an answer: ${JSON.stringify(answers.toString('latin1'))}`);
    assert.ok(seen <= 1 + input.length / 18, `${seen} answers`);
    if (answers.includes(CANARY)) assert.ok(input.includes(KEY), 'a value without the session key');
    await turns(1);
    assert.equal(host.connections.size, 0);
    assert.deepEqual(host.faults.splice(0), []);
  },
};

const answer = (status: string, body = ''): string => `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const NO_OTHERS = { size: 0, closeAll: () => undefined };

/** A connection as if the host had dialled: what the guest writes, in pieces, and then its end. */
function dialled(): { connection: AgentConnection; guest: Duplex } {
  const [guest, hostSide] = duplexPair({ allowHalfOpen: false });
  guest.on('error', () => undefined).resume();
  return { connection: new AgentConnection(hostSide as Socket, Buffer.alloc(0), new AgentSockets('/nowhere', NO_OTHERS)), guest };
}

async function write(guest: Duplex, input: Buffer, random: Random): Promise<void> {
  // An answer to no request is a fault, too: now and then it comes before the request.
  if (random.once(8)) await turns(1);
  for (const piece of pieces(random, input)) guest.write(piece);
  guest.end();
}

const GUEST_FAULTS = isRefusal('agent_protocol', 'agent_unreachable', 'agent_not_ready', 'exec_failed');

/** Waits for the work and accepts the faults that a guest may cause, if they say nothing that it wrote unclean. */
async function orFault(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!GUEST_FAULTS(error)) throw error;
    assertNoControls((error as Error).message);
    assert.ok((error as Error).message.length < 500);
  }
}

const HEALTH = JSON.stringify({ agent_version: '0.1.0', agent_uptime: 1, system_uptime: 2, userdata_ran: true });

const calls: Target = {
  name: 'agent-answers',
  of: 'src/live/agent-connection.ts, handshake.ts, agent-call.ts: answers to the host\'s calls',
  corpus: [
    answer('200 OK', HEALTH), answer('409 Conflict'), answer('401 Unauthorized'), answer('204 No Content'),
    answer('200 OK', JSON.stringify({ nonce: '0'.repeat(64), proof: 'f'.repeat(64) })), answer('200 OK', HEALTH) + answer('200 OK', HEALTH), 'HTTP/1.1 100 Continue\r\n\r\n',
  ],
  words: ['Content-Length: 262145', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', '101', '\r\n\r\n', CANARY],
  check: async (input, random) => {
    const { connection, guest } = dialled();
    const { signal } = new AbortController();
    const keys: string[] = [];
    const work = random.once(2)
      ? agentCall({ connection, authorization: 'x', taken: () => undefined }, LIMITS).health().then((health) => assertNoControls(health.agent_version))
      : offerSession(connection, 'ab'.repeat(32), () => '1c'.repeat(32), (key) => void keys.push(key), signal).then(() => undefined);
    await Promise.all([orFault(work), write(guest, input, random)]);
    connection.close();
    assert.deepEqual(keys, [], 'a session without the boot token');
  },
};

const frame = (type: (typeof FRAME)[keyof typeof FRAME], text: string): string => Buffer.from(encodeFrame(type, asciiBytes(text))).toString('latin1');
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: slicer-exec\r\n\r\n';

const commands: Target = {
  name: 'exec-output',
  of: 'src/live/exec-session.ts, src/daemon/exec-output.ts: a command\'s output, as a guest sends it',
  corpus: [
    SWITCH + frame(FRAME.started, '42') + frame(FRAME.stdout, 'hello\n') + frame(FRAME.stderr, 'oh') + frame(FRAME.exit, '0'),
    SWITCH + frame(FRAME.failed, 'no such user'), SWITCH + frame(FRAME.started, '1') + frame(FRAME.stdout, '') + frame(FRAME.exit, '255'),
  ].map((text) => Buffer.from(text, 'latin1')),
  words: [frame(FRAME.started, '9'), frame(FRAME.exit, '0'), frame(FRAME.exit, '256'), frame(FRAME.failed, '\x1b[2J'), frame(FRAME.stdin, 'x'), frame(FRAME.stdout, '\xe2\x82')],
  check: async (input, random) => {
    const { connection, guest } = dialled();
    const kinds: string[] = [];
    let bytes = 0;
    const work = async (): Promise<void> => {
      const session = await agentCall({ connection, authorization: 'x', taken: () => undefined }, LIMITS).exec({ argv: ['true'], uid: 0, env: [], stdin: false });
      const text = outputText(random.once(2) ? 'text' : 'base64');
      for await (const event of execEvents(session)) {
        kinds.push(event.type);
        if (event.type === 'stdout' || event.type === 'stderr') bytes += JSON.stringify(text(event.type, event.data)).length;
        else if (event.type === 'exit') assert.ok(event.exitCode >= 0 && event.exitCode <= 255);
      }
    };
    await Promise.all([orFault(work()), write(guest, input, random)]);
    connection.close();
    assert.ok(kinds.length === 0 || kinds[0] === 'started');
    assert.ok(kinds.filter((kind) => kind === 'started').length <= 1 && kinds.indexOf('exit') === (kinds.includes('exit') ? kinds.length - 1 : -1));
    assert.ok(bytes <= 64 * (input.length + 1));
  },
};

export const guestConnectionTargets: readonly Target[] = [server, calls, commands];
