import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { execFrame, execResult } from '../../src/api/exec.ts';
import { BUFFERED_OUTPUT_MAX_BYTES } from '../../src/api/limits.ts';
import { FRAME, FRAME_MAX_BYTES, type Frame } from '../../src/wire/exec-frames.ts';
import type { ExecRequest } from '../../src/wire/protocol.ts';
import { payload, type RunCommand } from '../live/wire-agent.ts';
import { base64, bench, type Bench } from './daemon.ts';

/** A command that sends these frames and takes no notice of stdin. */
const says = (...frames: [number, string | Uint8Array][]): RunCommand => (_request, send) => {
  for (const [type, text] of frames) send({ type: type as Frame['type'], payload: typeof text === 'string' ? payload(text) : text });
  return () => {};
};

/** Sends stdin back, and its length with the end. */
const cat: RunCommand = (_request, send) => {
  let length = 0;
  send({ type: FRAME.started, payload: payload('7') });
  return ({ type, payload: bytes }) => {
    length += bytes.byteLength;
    if (type === FRAME.stdin) send({ type: FRAME.stdout, payload: bytes });
    if (type !== FRAME.stdinEnd) return;
    send({ type: FRAME.stderr, payload: payload(`${length}`) });
    send({ type: FRAME.exit, payload: payload('0') });
  };
};

async function withCommand(t: Parameters<typeof bench>[0], run: RunCommand): Promise<Bench> {
  const set = await bench(t);
  const agent = await set.attach('db');
  await agent.establish();
  agent.runCommand = run;
  return set;
}

const lines = (text: string): any[] => text.trimEnd().split('\n').map((line) => JSON.parse(line));

test('output comes as a line for each frame, in order, ended by the exit code', async (t) => {
  const { api } = await withCommand(t, says([FRAME.started, '42'], [FRAME.stdout, 'out'], [FRAME.stderr, 'err'], [FRAME.exit, '3']));
  const { status, headers, text } = await api('POST', '/vm/db/exec?cmd=x');
  assert.deepEqual([status, headers['content-type']], [200, 'application/x-ndjson']);
  const frames = lines(text);
  for (const frame of frames) execFrame.parse(frame);
  assert.deepEqual(frames.map(({ timestamp, ...rest }) => rest), [
    { type: 'started', pid: 42 }, { type: 'stdout', stdout: 'out' }, { type: 'stderr', stderr: 'err' }, { type: 'exit', exit_code: 3 },
  ]);
});

test('the query is the command, word for word', async (t) => {
  let asked: ExecRequest | undefined;
  const { api } = await withCommand(t, (request, send, socket) => {
    asked = request;
    return says([FRAME.started, '1'], [FRAME.exit, '0'])(request, send, socket);
  });
  await api('POST', '/vm/db/exec?cmd=printf&args=a%20b&args=%24HOME%3B&uid=1000&gid=5&cwd=%2Ftmp&env=A%3D1&env=B%3D');
  assert.deepEqual(asked, { argv: ['printf', 'a b', '$HOME;'], uid: 1000, gid: 5, cwd: '/tmp', env: ['A=1', 'B='], stdin: false });
  await api('POST', '/vm/db/exec?cmd=echo&args=hi&shell=%2Fbin%2Fsh');
  assert.deepEqual(asked, { argv: ['/bin/sh', '-c', 'echo hi'], uid: 0, env: [], stdin: false });
});

test('a character that is cut between two frames arrives whole, and base64 carries any byte', async (t) => {
  const bytes = Buffer.from('grün');
  const run = says([FRAME.started, '1'], [FRAME.stdout, bytes.subarray(0, 3)], [FRAME.stdout, bytes.subarray(3)], [FRAME.stdout, Uint8Array.of(0, 255)], [FRAME.exit, '0']);
  const { api } = await withCommand(t, run);
  const stdout = (text: string): string[] => lines(text).flatMap((frame) => frame.stdout ?? []);
  assert.equal(stdout((await api('POST', '/vm/db/exec?cmd=x')).text).join(''), 'grün\0\ufffd');
  const exact = stdout((await api('POST', '/vm/db/exec?cmd=x&stdio=base64')).text);
  assert.deepEqual(Buffer.concat(exact.map((text) => Buffer.from(text, 'base64'))), Buffer.concat([bytes, Uint8Array.of(0, 255)]));
});

test('stdin and output flow at the same time, in any size', async (t) => {
  const set = await withCommand(t, cat);
  const { outgoing, incoming } = await begin(set, '/vm/db/exec?cmd=cat&stdin=true&stdio=base64');
  const reader = createInterface({ input: incoming })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await reader.next()).value as string);
  assert.equal((await next()).type, 'started');
  for (const size of [1, 100, 200_000]) {
    outgoing.write(Buffer.alloc(size, size));
    let received = 0;
    while (received < size) received += Buffer.from((await next()).stdout, 'base64').byteLength;
  }
  outgoing.end();
  assert.equal(Buffer.from((await next()).stderr, 'base64').toString(), '200101');
  assert.equal((await next()).exit_code, 0);
  assert.equal((await reader.next()).done, true);
});

test('buffered answers with one object', async (t) => {
  const { api } = await withCommand(t, cat);
  const { status, body } = await api('POST', '/vm/db/exec?cmd=cat&stdin=true&buffered=true', 'hello');
  assert.equal(status, 200);
  assert.deepEqual(execResult.parse(body), { stdout: 'hello', stderr: '5', exit_code: 0 });
  assert.deepEqual((await api('POST', '/vm/db/exec?cmd=cat&stdin=true&buffered=true&stdio=base64', 'hello')).body, {
    stdout: base64('hello'), stderr: base64('5'), exit_code: 0, encoding: 'base64',
  });
});

test('buffered output beyond the limit is an error, and ends the command', async (t) => {
  let socket: Socket | undefined;
  const { api } = await withCommand(t, (_request, send, connection) => {
    socket = connection;
    send({ type: FRAME.started, payload: payload('1') });
    const chunk = new Uint8Array(FRAME_MAX_BYTES);
    for (let sent = 0; sent <= BUFFERED_OUTPUT_MAX_BYTES; sent += chunk.byteLength) send({ type: FRAME.stdout, payload: chunk });
    return () => {};
  });
  const { status, body } = await api('POST', '/vm/db/exec?cmd=yes&buffered=true');
  assert.deepEqual([status, body.code], [502, 'exec_failed']);
  if (socket?.destroyed === false) await once(socket as Socket, 'close');
});

for (const buffered of ['', '&buffered=true']) {
  test(`a command that cannot be started is an error of the request${buffered}`, async (t) => {
    const { api } = await withCommand(t, says([FRAME.failed, 'no such file\x1b[2J']));
    const { status, body } = await api('POST', `/vm/db/exec?cmd=nope${buffered}`);
    assert.deepEqual([status, body.code], [502, 'exec_failed']);
    assert.match(body.error, /no such file\ufffd\[2J$/);
  });
}

test('a guest that is lost after the command began ends the answer with an error line', async (t) => {
  const { api } = await withCommand(t, (_request, send, socket) => {
    send({ type: FRAME.started, payload: payload('1') });
    socket.end();
    return () => {};
  });
  const frames = lines((await api('POST', '/vm/db/exec?cmd=x')).text);
  assert.deepEqual(frames.map(({ type, code }) => [type, code]), [['started', undefined], ['error', 'agent_unreachable']]);
  execFrame.parse(frames[1]);
});

const nonsense: readonly [string, [number, string][]][] = [
  ['begins with output', [[FRAME.stdout, 'x']]],
  ['begins twice', [[FRAME.started, '1'], [FRAME.started, '1']]],
  ['has no number as exit code', [[FRAME.started, '1'], [FRAME.exit, 'x']]],
  ['has an exit code that no command has', [[FRAME.started, '1'], [FRAME.exit, '256']]],
  ['has no number as process', [[FRAME.started, '-1']]],
];
for (const [what, frames] of nonsense) {
  test(`a command that ${what} breaks the protocol`, async (t) => {
    const { api } = await withCommand(t, says(...frames));
    assert.match((await api('POST', '/vm/db/exec?cmd=x')).text, /"agent_protocol"/);
  });
}

test('a client that goes away takes its command with it', async (t) => {
  let ended: () => void = () => {};
  const gone = new Promise<void>((resolve) => (ended = resolve));
  const set = await withCommand(t, (_request, send, socket) => {
    socket.on('close', ended);
    send({ type: FRAME.started, payload: payload('1') });
    return () => {};
  });
  const { outgoing } = await begin(set, '/vm/db/exec?cmd=sleep&stdin=true');
  outgoing.destroy();
  await gone;
});

test('a client that does not read makes the daemon hold a bounded amount', async (t) => {
  let sent = 0;
  let blocked: () => void = () => {};
  const stuck = new Promise<void>((resolve) => (blocked = resolve));
  const set = await withCommand(t, (_request, send, socket) => {
    send({ type: FRAME.started, payload: payload('1') });
    const chunk = new Uint8Array(FRAME_MAX_BYTES);
    // Client, daemon and guest are one process: what does not move in 500 turns of its loop is stuck.
    let turnsLeft = 500;
    const turn = (): void => {
      turnsLeft -= 1;
      while (!socket.writableNeedDrain && sent < 64 * 1024 * 1024) {
        turnsLeft = 500;
        sent += chunk.byteLength;
        send({ type: FRAME.stdout, payload: chunk });
      }
      if (turnsLeft > 0) setImmediate(turn);
      else blocked();
    };
    turn();
    return () => {};
  });
  const { incoming, outgoing } = await begin(set, '/vm/db/exec?cmd=yes');
  incoming.pause();
  await stuck;
  assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes taken`);
  outgoing.destroy();
});

test('what cannot be run is refused with its reason', async (t) => {
  const { api, attach } = await bench(t);
  const code = async (path: string) => (await api('POST', path)).body.code;
  assert.equal(await code('/vm/nope/exec?cmd=x'), 'vm_not_found');
  await attach('db');
  assert.equal(await code('/vm/db/exec?cmd=x'), 'agent_not_ready');
  assert.equal(await code('/vm/db/exec'), 'invalid_request');
  assert.equal(await code('/vm/db/exec?cmd=x&uid=root'), 'invalid_owner');
  assert.equal(await code('/vm/db/exec?cmd=x&env=novalue'), 'invalid_request');
});

test('a command too large for the wire is refused before the guest is dialled', async (t) => {
  const { api } = await withCommand(t, () => () => assert.fail('the command came through'));
  const { status, body } = await api('POST', `/vm/db/exec?cmd=x&args=${'%01'.repeat(80_000)}`);
  assert.deepEqual([status, body.code], [400, 'invalid_request']);
});

test('neither command nor output nor stdin is logged', async (t) => {
  const { api, log } = await withCommand(t, cat);
  await api('POST', '/vm/db/exec?cmd=canary-1&args=canary-2&env=A%3Dcanary-3&stdin=true', 'canary-4');
  assert.ok(log.some((line) => line.includes('/vm/:hostname/exec')));
  assert.doesNotMatch(log.join(''), /canary/);
});

async function begin({ socket }: Bench, path: string): Promise<{ outgoing: ClientRequest; incoming: IncomingMessage }> {
  const outgoing = request({ socketPath: socket, method: 'POST', path, agent: false });
  outgoing.on('error', () => {});
  outgoing.flushHeaders();
  const [incoming] = await once(outgoing, 'response') as [IncomingMessage];
  incoming.on('error', () => {});
  return { outgoing, incoming };
}
