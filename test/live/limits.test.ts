import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEAD_MAX_BYTES } from '../../src/wire/protocol.ts';
import { HostConnection } from './host-connection.ts';
import { bench, until, type Bench } from './live-vm.ts';

const dial = async ({ device }: Pick<Bench, 'device'>): Promise<HostConnection> => new HostConnection(await device.dialHost());

const bearer = ({ agent }: Bench): Record<string, string> => ({ Authorization: `Bearer ${agent.sessionKey}` });

const nextStatus = ({ vm }: Bench): Promise<void> => new Promise((resolve) => {
  const stop = vm.onStatus(() => {
    stop();
    resolve();
  });
});

test('a flood of hellos is answered 429 with the time to come again, and dials the guest no more often than that', async (t) => {
  const set = await bench(t, { limits: { hellos: { burst: 2, perSecond: 0.1 } } });
  let dials = 0;
  const serve = set.device.agent;
  set.device.agent = (socket, first) => {
    dials += 1;
    serve?.(socket, first);
  };
  const connection = await dial(set);
  const statuses = [];
  for (let index = 0; index < 6; index += 1) {
    const answered = set.agent.saw('POST /v1/challenge');
    const { status, headers } = await connection.request('POST /v1/hello');
    statuses.push(status);
    if (status === 202) await answered;
    else assert.match(headers.get('retry-after') ?? '', /^([1-9]|10)$/);
  }
  assert.equal(statuses.filter((status) => status === 202).length, statuses.indexOf(429));
  // One at the start of the service, and what the rate allows.
  assert.ok(dials <= 3, `${dials} dials`);
});

test('hellos that come while the guest is being dialled share one dial, and one more after it', async (t) => {
  const set = await bench(t);
  let dials = 0;
  let letGo: () => void = () => {};
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const serve = set.device.agent;
  set.device.agent = (socket, first) => {
    dials += 1;
    socket.pause();
    void held.then(() => {
      serve?.(socket, first);
      socket.resume();
    });
  };
  const connection = await dial(set);
  for (let index = 0; index < 20; index += 1) assert.equal((await connection.request('POST /v1/hello')).status, 202);
  set.agent.wantsSession = true;
  const offered = set.agent.saw('PUT /v1/session');
  letGo();
  await offered;
  assert.ok(dials <= 2, `${dials} dials`);
});

test('at the cap the oldest stranger is closed, and an authenticated connection only when there is no stranger', async (t) => {
  const set = await bench(t, { limits: { connectionsMax: 4 } });
  await set.agent.establish();
  const proven = await dial(set);
  assert.equal((await proven.request('GET /v1/secrets', bearer(set))).status, 200);
  set.agent.close();
  const strangers = [];
  for (let index = 0; index < 10; index += 1) strangers.push(await dial(set));
  await Promise.all(strangers.slice(0, 7).map(({ closed }) => closed));
  assert.equal((await proven.request('GET /v1/secrets', bearer(set))).status, 200);
  const others = strangers.slice(-3);
  for (const connection of others) assert.equal((await connection.request('GET /v1/secrets', bearer(set))).status, 200);
  const late = await dial(set);
  await proven.closed;
  assert.equal((await late.request('GET /v1/secrets', bearer(set))).status, 200);
});

test('a connection that does not show the session key in time is closed, one that did may stay', async (t) => {
  const set = await bench(t, { limits: { strangerMs: 500 } });
  set.store.set('a', '1');
  await set.agent.establish();
  await set.agent.sync();
  const poll = set.agent.sync(true);
  const strangers = [await dial(set), await dial(set)];
  strangers[1]?.send('GET /v1/sec').catch(() => {});
  await Promise.all(strangers.map(({ closed }) => closed));
  set.store.set('a', '2');
  assert.equal(await poll, 226);
});

test('a request whose body does not arrive in time ends its connection', async (t) => {
  const set = await bench(t, { limits: { requestMs: 500 } });
  await set.agent.establish();
  const connection = await dial(set);
  connection.send(`POST /v1/report HTTP/1.1\r\nAuthorization: Bearer ${set.agent.sessionKey}\r\nContent-Length: 100\r\n\r\n{`).catch(() => {});
  await connection.closed;
});

test('an idle authenticated connection is closed after a while', async (t) => {
  const set = await bench(t, { limits: { idleMs: 500 } });
  await set.agent.establish();
  const connection = await dial(set);
  assert.equal((await connection.request('GET /v1/secrets', bearer(set))).status, 200);
  await connection.closed;
});

test('connections beyond the rate are closed before anything is read, and others are served again later', async (t) => {
  const set = await bench(t, { limits: { connections: { burst: 3, perSecond: 5 } } });
  const connections = await Promise.all(Array.from({ length: 10 }, () => dial(set)));
  await Promise.all(connections.slice(3).map(({ closed }) => closed));
  assert.equal((await (connections[0] as HostConnection).request('GET /v1/secrets')).status, 401);
  for (;;) {
    const connection = await dial(set);
    const response = await connection.request('GET /v1/secrets').catch(() => undefined);
    if (response !== undefined) return assert.equal(response.status, 401);
  }
});

test('authenticated requests beyond the rate are answered 429, and cost a connection each', async (t) => {
  const set = await bench(t, { limits: { requests: { burst: 3, perSecond: 0.1 } } });
  await set.agent.establish();
  const connection = await dial(set);
  const statuses = [];
  for (let index = 0; index < 4; index += 1) statuses.push((await connection.request('GET /v1/secrets', bearer(set))).status);
  await connection.closed;
  statuses.push((await (await dial(set)).request('GET /v1/secrets', bearer(set))).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});

for (const line of ['POST /v1/hello', 'GET /v1/secrets', 'GET /nothing']) {
  test(`a connection has a few requests without the session key, and is then closed: ${line}`, async (t) => {
    const set = await bench(t, { limits: { strangerRequestsMax: 3 } });
    await set.agent.establish();
    const connection = await dial(set);
    for (let index = 0; index < 3; index += 1) await connection.request(line);
    await assert.rejects(connection.request(line), /the host closed the connection/);
    const proven = await dial(set);
    for (let index = 0; index < 9; index += 1) {
      assert.equal((await proven.request('GET /v1/secrets', index % 2 === 0 ? bearer(set) : {})).status, index % 2 === 0 ? 200 : 401);
    }
  });
}

test('a reader that takes nothing is ended, and at most one answer to a poll is on its way to a guest', async (t) => {
  const set = await bench(t, { limits: { responseMs: 100, responseBytesPerSecond: 1e12 } });
  for (let index = 0; index < 8; index += 1) set.store.set(`s${index}`, new Uint8Array(1024 * 1024));
  await set.agent.establish();
  const readers: HostConnection[] = [];
  for (let index = 0; index < 5; index += 1) {
    const reader = await dial(set);
    reader.socket.pause();
    const ended = nextStatus(set);
    reader.send(`GET /v1/secrets?wait HTTP/1.1\r\nAuthorization: Bearer ${set.agent.sessionKey}\r\n\r\n`).catch(() => {});
    // From the second on the poll before is ended by the next one; the last one by the clock.
    if (index > 0) await ended;
    if (index === 4) await nextStatus(set);
    readers.push(reader);
  }
  for (const reader of readers) {
    reader.socket.resume();
    await reader.closed;
    assert.ok(Buffer.concat(reader.received).byteLength < 8 * 1024 * 1024);
  }
});

test('a reader that takes an archive slowly gets it whole', async (t) => {
  const set = await bench(t);
  const value = new Uint8Array(1024 * 1024).fill(7);
  for (let index = 0; index < 8; index += 1) set.store.set(`s${index}`, value);
  await set.agent.establish();
  const connection = await set.agent.connection();
  const answer = set.agent.sync();
  connection.socket.on('data', () => {
    connection.socket.pause();
    setImmediate(() => connection.socket.resume());
  });
  assert.equal(await answer, 200);
  assert.equal(set.agent.held.size, 8);
  for (const { bytes } of set.agent.held.values()) assert.ok(bytes.equals(value));
});

const garbage: readonly [string, string | Buffer][] = [
  ['bytes that are no HTTP', Buffer.from([0, 1, 2, 255, 254, 10, 13, 10, 13])],
  ['a head without an end', `GET /v1/secrets HTTP/1.1\r\na: ${'x'.repeat(HEAD_MAX_BYTES)}`],
  ['a head that is too long', `POST /v1/hello HTTP/1.1\r\na: ${'x'.repeat(HEAD_MAX_BYTES)}\r\n\r\n`],
  ['a path that is too long', `GET /${'x'.repeat(HEAD_MAX_BYTES)} HTTP/1.1\r\n\r\n`],
  ['many headers', `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(2000)}\r\n`],
  ['a header without a colon', 'GET / HTTP/1.1\r\nabc\r\n\r\n'],
  ['two lengths', 'POST /v1/report HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  ['a length and chunks', 'POST /v1/report HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['TLS', Buffer.from('16030100a5010000a10303', 'hex')],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a tunnel', 'CONNECT 900 HTTP/1.1\r\n\r\n'],
  ['an upgrade', 'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
];
for (const [what, bytes] of garbage) {
  test(`${what} ends the connection without a word of secrets, and the next one is served`, async (t) => {
    const set = await bench(t);
    set.store.set('api-key', 'canary');
    await set.agent.establish();
    const connection = await dial(set);
    connection.send(bytes).catch(() => {});
    await connection.closed;
    assert.ok(!Buffer.concat(connection.received).includes('canary'));
    assert.equal(await set.agent.sync(), 200);
  });
}

test('a body in chunks is refused, also with the session key', async (t) => {
  const set = await bench(t);
  await set.agent.establish();
  const { status } = await set.agent.request('POST /v1/report', { 'Transfer-Encoding': 'chunked' });
  assert.equal(status, 411);
});

test('Expect is refused instead of answered with a 100', async (t) => {
  const set = await bench(t);
  const connection = await dial(set);
  const { status } = await connection.send('POST /v1/hello HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
  assert.equal(status, 417);
  await connection.closed;
});

test('a thousand requests in one piece are not answered: the connection ends at the second', async (t) => {
  const set = await bench(t);
  set.store.set('a', '1');
  await set.agent.establish();
  await set.agent.sync();
  const connection = await dial(set);
  const poll = `GET /v1/secrets?wait HTTP/1.1\r\nAuthorization: Bearer ${set.agent.sessionKey}\r\nIf-None-Match: ${set.agent.generation}\r\n\r\n`;
  connection.send(poll.repeat(1000)).catch(() => {});
  await connection.closed;
});

test('requests behind the one that ended their connection count as connections, and end those of other strangers', async (t) => {
  const set = await bench(t, { limits: { connections: { burst: 100, perSecond: 10 } } });
  await set.agent.establish();
  await set.agent.sync();
  const stranger = await dial(set);
  const connection = await dial(set);
  connection.send('POST /v1/hello HTTP/1.1\r\n\r\n'.repeat(500)).catch(() => {});
  await Promise.all([connection.closed, stranger.closed]);
  const next = await dial(set);
  await next.closed;
  assert.equal(next.received.length, 0);
  // The agent's connection is none of them.
  assert.equal(await set.agent.sync(), 304);
});

test('the body of an unauthenticated request is not read', async (t) => {
  const set = await bench(t);
  const connection = await dial(set);
  const { status } = await connection.send('POST /v1/report HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n');
  assert.equal(status, 401);
  await connection.closed;
});

test('a poll that ends with its connection leaves nothing behind', async (t) => {
  const set = await bench(t);
  set.store.set('a', '1');
  await set.agent.establish();
  await set.agent.sync();
  set.agent.sync(true).catch(() => {});
  await until(set.vm, () => set.vm.status().synced);
  const ended = nextStatus(set);
  set.agent.close();
  await ended;
  set.store.set('a', '2');
  assert.equal(await set.agent.sync(), 226);
});
