import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { encodeFrame, FRAME, FRAME_MAX_BYTES, type Frame } from '../../src/wire/exec-frames.ts';
import { encodeHead } from '../../src/wire/http.ts';
import type { ExecRequest } from '../../src/wire/protocol.ts';
import { bench, type Bench } from './live-vm.ts';
import { payload } from './wire-agent.ts';

const never = new AbortController().signal;
const request: ExecRequest = { argv: ['/bin/echo', 'a b'], uid: 0, env: ['A=1'], stdin: true };

test('health comes over a connection on which both sides proved the session', async (t) => {
  const { agent, vm } = await bench(t);
  await agent.establish();
  const call = await vm.call(never);
  assert.deepEqual(await call.health(), agent.health);
  call.close();
});

test('a call waits for a session, and not for ever', async (t) => {
  const { vm, agent } = await bench(t);
  await assert.rejects(vm.call(never), { code: 'agent_not_ready' });
  const later = await bench(t, { limits: { sessionMs: 60_000 } });
  const call = later.vm.call(never);
  await later.agent.establish();
  assert.deepEqual(await (await call).health(), agent.health);
  const given = new AbortController();
  const abandoned = vm.call(given.signal);
  given.abort(new Error('given up'));
  await assert.rejects(abandoned, /given up/);
});

test('an agent that lost its session is not ready', async (t) => {
  const { agent, vm } = await bench(t);
  await agent.establish();
  agent.sessionKey = undefined;
  await assert.rejects(vm.call(never), { code: 'agent_not_ready' });
});

test('an impostor on the port of the agent learns nothing that it could use', async (t) => {
  const { agent, vm, device } = await bench(t);
  await agent.establish();
  const heard: Buffer[] = [];
  device.agent = (socket) => {
    socket.on('data', (chunk) => {
      heard.push(chunk);
      const body = JSON.stringify({ nonce: '1'.repeat(64), proof: '2'.repeat(64) });
      socket.write(encodeHead('HTTP/1.1 200 OK', { 'Content-Length': body.length }) + body);
    });
  };
  await assert.rejects(vm.call(never), { code: 'agent_protocol' });
  const text = Buffer.concat(heard).toString();
  assert.ok(!text.includes(agent.sessionKey as string));
  assert.doesNotMatch(text, /exec|health|Authorization/i);
});

test('a guest in which nobody listens is unreachable, and so is one that never answers', async (t) => {
  const empty = await bench(t);
  await empty.agent.establish();
  empty.device.agent = undefined;
  await assert.rejects(empty.vm.call(never), { code: 'agent_unreachable', message: /nobody listens/ });
  const set = await bench(t, { limits: { handshakeMs: 1_000 } });
  await set.agent.establish();
  set.device.agent = (socket) => void socket.resume();
  await assert.rejects(set.vm.call(never), { code: 'agent_unreachable', message: /no answer in time/ });
  const abort = new AbortController();
  const call = set.vm.call(abort.signal);
  abort.abort(new Error('given up'));
  await assert.rejects(call, /given up/);
});

const hostileAnswers: readonly [string, (socket: Socket) => void][] = [
  ['an endless line', (socket) => void socket.write('x'.repeat(100_000))],
  ['an endless head', (socket) => void socket.write(`HTTP/1.1 200 OK\r\na: ${'x'.repeat(20_000)}`)],
  ['a body without end', (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n')],
  ['a body in chunks', (socket) => void socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')],
  ['a body that is no JSON', (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{')],
  ['another status', (socket) => void socket.write('HTTP/1.1 500 No\r\n\r\n')],
  ['a switch of protocols', (socket) => void socket.write('HTTP/1.1 101 Switching\r\n\r\nframes')],
  ['an answer before the question', (socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n')],
];
for (const [what, answer] of hostileAnswers) {
  test(`a guest that answers a dial with ${what} breaks the protocol`, async (t) => {
    const { agent, vm, device } = await bench(t);
    await agent.establish();
    device.agent = answer;
    await assert.rejects(vm.call(never), { code: 'agent_protocol' });
    assert.equal(await agent.sync(), 200);
  });
}

test('health that is not health breaks the protocol, and its text is cleaned', async (t) => {
  const { agent, vm } = await bench(t);
  await agent.establish();
  agent.health = { agent_version: '1\x1b[2J', agent_uptime: 1, system_uptime: 1, userdata_ran: true };
  assert.equal((await (await vm.call(never)).health()).agent_version, '1\ufffd[2J');
  for (const wrong of [{ agent_version: 5 }, { agent_uptime: -1 }, { system_uptime: 'x' }, { userdata_ran: 1 }]) {
    agent.health = { ...agent.health, ...wrong } as unknown as typeof agent.health;
    await assert.rejects((await vm.call(never)).health(), { code: 'agent_protocol' });
  }
});

test('calls in the same moment are dialled four at a time, and each is answered', async (t) => {
  const { agent, vm, device } = await bench(t);
  await agent.establish();
  const serve = device.agent as NonNullable<typeof device.agent>;
  let strangers = 0;
  let most = 0;
  device.agent = (socket, first) => {
    strangers += 1;
    most = Math.max(most, strangers);
    let isStranger = true;
    const admit = (): void => {
      if (isStranger) strangers -= 1;
      isStranger = false;
    };
    socket.on('data', (chunk) => {
      if (chunk.includes('Slicer-Proof')) admit();
    });
    socket.on('close', admit);
    serve(socket, first);
  };
  const answers = await Promise.all(Array.from({ length: 30 }, async () => {
    const call = await vm.call(never);
    try {
      return await call.health();
    } finally {
      call.close();
    }
  }));
  assert.deepEqual(answers, answers.map(() => agent.health));
  assert.equal(most, 4);
});

test('a device that refuses dials while the guest is connected is dialled when the guest is not, in the same session', async (t) => {
  const { agent, vm, device } = await bench(t);
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  const { socket } = await agent.connection();
  const serve = device.agent;
  device.agent = undefined;
  socket.once('close', () => { device.agent = serve; });
  const call = await vm.call(never);
  assert.deepEqual(await call.health(), agent.health);
  assert.equal(await agent.sync(), 304);
});

test('a call that waits for its turn can be given up, and waits not for ever', async (t) => {
  const set = await bench(t, { limits: { unprovenCallsMax: 1, turnMs: 500 } });
  await set.agent.establish();
  const first = await set.vm.call(never);
  const given = new AbortController();
  const abandoned = set.vm.call(given.signal);
  given.abort(new Error('given up'));
  await assert.rejects(abandoned, /given up/);
  await assert.rejects(set.vm.call(never), { code: 'too_many_requests' });
  first.close();
  const next = await set.vm.call(never);
  assert.deepEqual(await next.health(), set.agent.health);
});

test('more calls than the agent bears are refused, and those that run go on', async (t) => {
  const set = await bench(t, { limits: { callsMax: 3 } });
  await set.agent.establish();
  const calls = [];
  for (let count = 0; count < 3; count += 1) {
    const call = await set.vm.call(never);
    await call.health();
    calls.push(call);
  }
  await assert.rejects(set.vm.call(never), { code: 'too_many_requests', message: /"web-1" has 3 calls at once/ });
  calls[0]?.close();
  const next = await set.vm.call(never);
  assert.deepEqual(await next.health(), set.agent.health);
});

async function exec({ agent, vm }: Bench, run: Bench['agent']['runCommand'], asked = request) {
  await agent.establish();
  agent.runCommand = run;
  return (await vm.call(never)).exec(asked);
}

test('frames of a command arrive in order, and stdin goes the other way until its end', async (t) => {
  const set = await bench(t);
  const session = await exec(set, (asked, send) => {
    assert.deepEqual(asked, request);
    send({ type: FRAME.started, payload: payload('42') });
    return ({ type, payload: bytes }) => {
      if (type === FRAME.stdin) send({ type: FRAME.stdout, payload: bytes });
      if (type === FRAME.stdinEnd) send({ type: FRAME.exit, payload: payload('7') });
    };
  });
  await session.send({ type: FRAME.stdin, payload: payload('hello') });
  await session.send({ type: FRAME.stdinEnd, payload: payload('') });
  const received: string[] = [];
  for await (const { type, payload: bytes } of session.frames) received.push(`${type} ${Buffer.from(bytes).toString()}`);
  assert.deepEqual(received, ['16 42', '17 hello', '19 7']);
});

test('a command writes no faster than its output is read', async (t) => {
  const set = await bench(t, { limits: { outputBacklogBytes: 64 * 1024 } });
  const total = 16 * 1024 * 1024;
  let sent = 0;
  const session = await exec(set, (_asked, send, connection) => {
    const chunk = new Uint8Array(FRAME_MAX_BYTES).fill(9);
    const pump = (): void => {
      while (sent < total) {
        sent += chunk.byteLength;
        if (!send({ type: FRAME.stdout, payload: chunk })) return void connection.once('drain', pump);
      }
      send({ type: FRAME.exit, payload: payload('0') });
    };
    pump();
    return () => {};
  });
  let received = 0;
  for await (const { type, payload: bytes } of session.frames) {
    if (type === FRAME.stdout) received += bytes.byteLength;
    // What is neither received nor in a buffer of this size was sent without being asked for.
    assert.ok(sent - received <= 4 * 1024 * 1024, `${sent - received} bytes ahead`);
    if (received % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(received, total);
});

test('a command that is not read at all makes the host hold a bounded amount', async (t) => {
  const set = await bench(t, { limits: { outputBacklogBytes: 64 * 1024 } });
  let sent = 0;
  let blocked = (): void => {};
  const stuck = new Promise<void>((resolve) => (blocked = resolve));
  const session = await exec(set, (_asked, send) => {
    const chunk = new Uint8Array(FRAME_MAX_BYTES);
    while (send({ type: FRAME.stdout, payload: chunk }) && sent < 64 * 1024 * 1024) sent += chunk.byteLength;
    blocked();
    return () => {};
  });
  await stuck;
  assert.ok(sent < 4 * 1024 * 1024, `${sent} bytes taken`);
  session.close();
});

test('the end of a connection before the end of the command is an error, not an end', async (t) => {
  const set = await bench(t);
  const session = await exec(set, (_asked, send, socket) => {
    send({ type: FRAME.started, payload: payload('42') });
    socket.end();
    return () => {};
  });
  const received: Frame[] = [];
  await assert.rejects(async () => {
    for await (const frame of session.frames) received.push(frame);
  }, { code: 'agent_unreachable' });
  assert.equal(received.length, 1);
});

const badFrames: readonly [string, Uint8Array][] = [
  ["the host's kind", encodeFrame(FRAME.stdin, payload('x'))],
  ['an unknown kind', Uint8Array.of(99, 0, 0, 0, 0)],
  ['more than the limit', Uint8Array.of(FRAME.stdout, 0xff, 0xff, 0xff, 0xff)],
];
for (const [what, bytes] of badFrames) {
  test(`a frame of ${what} from the guest ends the command`, async (t) => {
    const set = await bench(t);
    const session = await exec(set, (_asked, _send, socket) => {
      socket.write(bytes);
      return () => {};
    });
    await assert.rejects(session.frames[Symbol.asyncIterator]().next(), { code: 'agent_protocol' });
  });
}

test('a new session and the end of the service end running commands', async (t) => {
  const set = await bench(t);
  const first = await exec(set, () => () => {});
  const replaced = assert.rejects(first.frames[Symbol.asyncIterator]().next(), { code: 'agent_unreachable' });
  await set.agent.establish();
  await replaced;
  const second = await exec(set, () => () => {});
  const ended = assert.rejects(second.frames[Symbol.asyncIterator]().next(), { code: 'agent_unreachable' });
  await set.vm.close();
  await ended;
});

test('who stops reading frames hangs up', async (t) => {
  const set = await bench(t);
  let hungUp: () => void = () => {};
  const gone = new Promise<void>((resolve) => (hungUp = resolve));
  const session = await exec(set, (_asked, send, socket) => {
    socket.on('close', hungUp);
    send({ type: FRAME.started, payload: payload('1') });
    return () => {};
  });
  for await (const frame of session.frames) {
    assert.equal(frame.type, FRAME.started);
    break;
  }
  await gone;
});

test('a reset of the guest ends a command for who reads it, and its connection only once the guest is back', async (t) => {
  const set = await bench(t);
  let touched = 0;
  let closed: () => void = () => {};
  const end = new Promise<void>((resolve) => (closed = resolve));
  const session = await exec(set, (_asked, send, socket) => {
    socket.on('close', () => {
      touched += 1;
      closed();
    });
    send({ type: FRAME.started, payload: payload('1') });
    return () => (touched += 1);
  });
  const frames = session.frames[Symbol.asyncIterator]();
  await frames.next();
  set.vm.guestReset();
  await assert.rejects(frames.next(), { code: 'agent_unreachable', message: /reset/ });
  await assert.rejects(session.send({ type: FRAME.stdin, payload: payload('too late') }), { code: 'agent_unreachable' });
  session.close();
  await assert.rejects(set.vm.call(AbortSignal.timeout(50)));
  assert.equal(touched, 0);
  await set.agent.establish();
  await end;
  assert.equal(touched, 1);
});

test('an agent that has gone is not dialled until it is back', async (t) => {
  const { agent, vm } = await bench(t, { limits: { sessionMs: 500 } });
  await agent.establish();
  await agent.sync();
  (await vm.call(never)).close();
  const asked = agent.requested.length;
  agent.close();
  // The host learns of the end of a connection a moment later.
  let refused = await vm.call(never).then((call) => call.close(), (error: unknown) => error);
  while (refused === undefined) refused = await vm.call(never).then((call) => call.close(), (error: unknown) => error);
  assert.equal((refused as { code?: string }).code, 'agent_not_ready');
  const dialled = agent.requested.length;
  await assert.rejects(vm.call(never), { code: 'agent_not_ready' });
  assert.equal(agent.requested.length, dialled);
  assert.ok(dialled >= asked);
  const waiting = vm.call(never);
  await agent.sync();
  (await waiting).close();
});

test('a reset in the middle of a dial ends the call, and the connection only once the guest is back', async (t) => {
  const { agent, vm, device } = await bench(t);
  await agent.establish();
  let touched = 0;
  let dialled: () => void = () => {};
  let closed: () => void = () => {};
  const [dial, end] = [new Promise<void>((resolve) => (dialled = resolve)), new Promise<void>((resolve) => (closed = resolve))];
  const answer = device.agent;
  device.agent = (socket) => {
    socket.on('data', () => (touched += 1)).on('close', () => {
      touched += 1;
      closed();
    });
    dialled();
  };
  const call = vm.call(never);
  await dial;
  const before = touched;
  vm.guestReset();
  await assert.rejects(call, { code: 'agent_unreachable', message: /reset/ });
  assert.ok(touched - before <= 1, 'no more than the challenge that was on its way');
  const sent = touched;
  device.agent = answer;
  await agent.establish();
  await end;
  assert.equal(touched, sent + 1);
});
