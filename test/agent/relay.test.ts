// The relay between a VM's VSOCK and a Unix socket, with Unix sockets in the place of VSOCK: GUEST_901 is what
// the guest dials, GUEST_900 is where its agent listens.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { AGENT } from './guest-fixture.ts';

const LINKS_OF_A_SIDE = 128;

interface Relay {
  readonly process: ChildProcess;
  /** What the host has of this VM. */
  readonly path: string;
  /** What passes for the guest's VSOCK. */
  readonly guest: string;
  /** A server at a path, with what each connection is given to. */
  readonly serve: (path: string, take: (socket: Socket) => void) => Promise<Server>;
  readonly dial: (path: string) => Promise<Socket>;
}

/** As the host waits for it: proc_net(5), where 00010000 is a socket that listens. */
async function untilListening(path: string): Promise<void> {
  const isListening = (line: string): boolean => line.endsWith(` ${path}`) && line.split(' ', 4)[3] === '00010000';
  const deadline = AbortSignal.timeout(10_000);
  while (!readFileSync('/proc/net/unix', 'utf8').split('\n').some(isListening)) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function startRelay(context: TestContext): Promise<Relay> {
  const directory = mkdtempSync('/dev/shm/slicer-relay-');
  const [path, guest] = [join(directory, 'vm.vsock'), join(directory, 'guest')];
  const words = ['vsock', '--cid', '3', '--port', '905', '--uds-path', path, '--guest-socket', guest];
  const child = spawn(AGENT, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  const open: (Socket | Server)[] = [];
  context.after(() => {
    child.kill('SIGKILL');
    for (const each of open) {
      if ('destroy' in each) each.destroy();
      else each.close();
    }
    rmSync(directory, { recursive: true });
  });
  await untilListening(path);
  const keep = (socket: Socket): Socket => {
    open.push(socket);
    return socket.on('error', () => undefined);
  };
  return {
    process: child, path, guest,
    serve: async (at, take) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => take(keep(socket))).listen(at);
      open.push(server);
      await once(server, 'listening');
      return server;
    },
    dial: async (at) => {
      const socket = keep(connect({ path: at, allowHalfOpen: true }));
      await once(socket, 'connect');
      return socket;
    },
  };
}

/** All that comes before the end; that may be a reset, where it was closed with bytes unread. */
async function textOf(socket: Socket): Promise<string> {
  let text = '';
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString('latin1');
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ECONNRESET');
  }
  return text;
}

/** Dials the guest as the host does. */
async function dialGuest(relay: Relay, port: number): Promise<Socket> {
  const socket = await relay.dial(relay.path);
  socket.write(`CONNECT ${port}\n`);
  return socket;
}

test('the guest\'s port 905 is PATH_901, and bytes go both ways', async (context) => {
  const relay = await startRelay(context);
  await relay.serve(`${relay.path}_901`, (socket) => socket.on('data', (chunk) => socket.write(`host heard ${chunk}`)));
  const guest = await relay.dial(`${relay.guest}_905`);
  guest.write('hello');
  assert.equal(String((await once(guest, 'data'))[0]), 'host heard hello');
});

test('CONNECT 900 on PATH is the guest\'s port 900, and is answered as Firecracker does', async (context) => {
  const relay = await startRelay(context);
  await relay.serve(`${relay.guest}_900`, (socket) => socket.on('data', (chunk) => socket.end(`guest heard ${chunk}`)));
  const host = await dialGuest(relay, 900);
  assert.equal(String((await once(host, 'data'))[0]), 'OK 0\n');
  host.write('hello');
  assert.equal(await textOf(host), 'guest heard hello');
});

test('CONNECT may come in pieces, and what follows it at once is not lost', async (context) => {
  const relay = await startRelay(context);
  await relay.serve(`${relay.guest}_900`, (socket) => socket.on('data', (chunk) => socket.end(`guest heard ${chunk}`)));
  const host = await relay.dial(relay.path);
  for (const letter of 'CONNECT 90') await new Promise((resolve) => host.write(letter, resolve));
  host.write('0\nhello');
  assert.equal(await textOf(host), 'OK 0\nguest heard hello');
});

for (const words of ['CONNECT 900 \n', 'CONNECT 0x384\n', 'CONNECT -1\n', 'CONNECT 4294967295\n', 'GET / HTTP/1.1\r\n', `CONNECT ${'0'.repeat(40)}900`, 'CONNECT 901\n']) {
  test(`${JSON.stringify(words)} reaches no port, and the connection is closed`, async (context) => {
    const relay = await startRelay(context);
    await relay.serve(`${relay.guest}_900`, () => assert.fail('the guest was dialled'));
    const host = await relay.dial(relay.path);
    host.write(words);
    assert.equal(await textOf(host), '');
  });
}

test('16 MiB arrive whole, each way', async (context) => {
  const relay = await startRelay(context);
  const bytes = randomBytes(16 * 1024 * 1024);
  await relay.serve(`${relay.path}_901`, (socket) => socket.pipe(socket));
  const guest = await relay.dial(`${relay.guest}_905`);
  const received: Buffer[] = [];
  let count = 0;
  guest.write(bytes);
  for await (const chunk of guest as AsyncIterable<Buffer>) {
    received.push(chunk);
    if ((count += chunk.byteLength) === bytes.byteLength) break;
  }
  assert.ok(Buffer.concat(received).equals(bytes));
});

test('a reader that stalls holds its writer back, and nobody else', async (context) => {
  const relay = await startRelay(context);
  const sockets: Socket[] = [];
  await relay.serve(`${relay.path}_901`, (socket) => {
    sockets.push(socket);
    if (sockets.length === 1) socket.pause();
    else socket.pipe(socket);
  });
  const stalled = await relay.dial(`${relay.guest}_905`);
  // More than all buffers on the way can hold.
  const sent = new Promise((resolve) => stalled.write(Buffer.alloc(8 * 1024 * 1024), resolve));
  const other = await relay.dial(`${relay.guest}_905`);
  other.write('through');
  assert.equal(String((await once(other, 'data'))[0]), 'through');
  assert.ok(stalled.writableLength > 0, 'the writer was not held back');
  const { VmRSS = '' } = statusOf(relay.process.pid as number);
  assert.ok(Number.parseInt(VmRSS, 10) < 8 * 1024, `the relay has ${VmRSS}`);
  sockets[0]?.resume();
  await sent;
});

test('the end of one side ends the other, when it has what was sent before', async (context) => {
  const relay = await startRelay(context);
  await relay.serve(`${relay.path}_901`, (socket) => socket.end('last words'));
  assert.equal(await textOf(await relay.dial(`${relay.guest}_905`)), 'last words');

  const heard = new Promise<string>((resolve) => void relay.serve(`${relay.guest}_900`, (socket) => resolve(textOf(socket))));
  const host = await dialGuest(relay, 900);
  await once(host, 'data');
  host.end('last words');
  assert.equal(await heard, 'last words');
  assert.equal(await textOf(host), '');
});

/** Nothing moves any more: all buffers on the way are full. */
async function untilStill(relay: Relay): Promise<void> {
  const pid = relay.process.pid as number;
  let before = '';
  while (before !== (before = switchesOf(pid))) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** What two sockets and the relay hold between them, and no one of them alone: whoever writes it is not held back. */
const HELD_ON_THE_WAY = 350 * 1024;

test('what the guest sent before it stopped reading still reaches the host', async (context) => {
  const relay = await startRelay(context);
  const accepted = new Promise<Socket>((resolve) => void relay.serve(`${relay.path}_901`, resolve));
  const guest = await relay.dial(`${relay.guest}_905`);
  const host = await accepted;
  await new Promise((resolve) => host.write(Buffer.alloc(HELD_ON_THE_WAY), resolve));
  const words = randomBytes(HELD_ON_THE_WAY);
  await new Promise((resolve) => guest.write(words, resolve));
  await untilStill(relay);
  guest.destroy();
  await untilStill(relay);
  const received: Buffer[] = [];
  // Its end is a reset, since the guest left unread what the host wrote.
  host.on('data', (chunk: Buffer) => received.push(chunk));
  await new Promise((resolve) => host.once('close', resolve));
  assert.ok(Buffer.concat(received).equals(words), `${Buffer.concat(received).byteLength} bytes`);
});

test('what the host answered before it hung up still reaches a guest whose request it left unread', async (context) => {
  const relay = await startRelay(context);
  const answer = 'a'.repeat(HELD_ON_THE_WAY);
  const accepted = new Promise<Socket>((resolve) => void relay.serve(`${relay.path}_901`, resolve));
  const guest = await relay.dial(`${relay.guest}_905`);
  const host = await accepted;
  await new Promise((resolve) => guest.write(Buffer.alloc(HELD_ON_THE_WAY), resolve));
  await new Promise((resolve) => host.write(answer, resolve));
  await untilStill(relay);
  host.destroy();
  await untilStill(relay);
  const text = await textOf(guest);
  assert.ok(text === answer, `${text.length} bytes`);
});

test('with 128 connections of the guest the newest is refused, and the host still reaches the guest', async (context) => {
  const relay = await startRelay(context);
  const accepted: Socket[] = [];
  await relay.serve(`${relay.path}_901`, (socket) => {
    accepted.push(socket);
    socket.pipe(socket);
  });
  await relay.serve(`${relay.guest}_900`, (socket) => socket.end('the guest'));
  const held: Socket[] = [];
  for (let count = 0; count < LINKS_OF_A_SIDE; count += 1) {
    const socket = await relay.dial(`${relay.guest}_905`);
    socket.write('x');
    await once(socket, 'data');
    held.push(socket);
  }
  assert.equal(await textOf(await relay.dial(`${relay.guest}_905`)), '');
  assert.equal(accepted.length, LINKS_OF_A_SIDE);
  assert.equal(await textOf(await dialGuest(relay, 900)), 'OK 0\nthe guest');

  const oldest = accepted[0] as Socket;
  held[0]?.destroy();
  await once(oldest, 'end');
  const next = await relay.dial(`${relay.guest}_905`);
  next.write('y');
  assert.equal(String((await once(next, 'data'))[0]), 'y');
});

test('after a thousand connections that end in every way it holds no descriptor of theirs', async (context) => {
  const relay = await startRelay(context);
  const descriptors = (): number => readdirSync(`/proc/${relay.process.pid}/fd`).length;
  const before = descriptors();
  let turn = 0;
  const takeInTurn = (socket: Socket): void => {
    turn += 1;
    if (turn % 4 === 0) socket.destroy();
    else if (turn % 4 === 1) socket.end('some words');
    else if (turn % 4 === 2) socket.pause();
    else socket.pipe(socket);
  };
  await relay.serve(`${relay.path}_901`, takeInTurn);
  await relay.serve(`${relay.guest}_900`, takeInTurn);
  const one = async (number: number): Promise<void> => {
    const socket = await relay.dial(number % 2 === 1 ? `${relay.guest}_905` : relay.path);
    socket.write(['CONNECT 900\n', 'CONNECT 1\n', 'CONN', Buffer.alloc(100_000)][number % 4] as string);
    if (number % 3 !== 0) setImmediate(() => socket.destroy());
    else socket.end();
    await Promise.race([once(socket, 'close'), once(socket.resume(), 'end')]).catch(() => undefined);
    socket.destroy();
  };
  for (let batch = 0; batch < 20; batch += 1) await Promise.all(Array.from({ length: 50 }, (_, number) => one(batch + number)));
  const deadline = Date.now() + 30_000;
  while (descriptors() !== before && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(descriptors(), before);
});

test('connections of which the guest takes nothing, and that the host has given up, make room for others', async (context) => {
  const relay = await startRelay(context);
  const accepted: Socket[] = [];
  await relay.serve(`${relay.path}_901`, (socket) => {
    accepted.push(socket);
    // More than all buffers on the way can hold.
    if (accepted.length <= LINKS_OF_A_SIDE) socket.write(Buffer.alloc(1024 * 1024));
    else socket.end('welcome');
  });
  while (accepted.length < LINKS_OF_A_SIDE) {
    const count = accepted.length;
    (await relay.dial(`${relay.guest}_905`)).pause();
    while (accepted.length === count) await new Promise((resolve) => setImmediate(resolve));
  }
  let before = '';
  while (before !== (before = switchesOf(relay.process.pid as number))) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(await textOf(await relay.dial(`${relay.guest}_905`)), '');

  // As the live channel does with a stranger after a few seconds.
  for (const socket of accepted) socket.destroy();
  const deadline = Date.now() + 5_000;
  let text = '';
  while (text === '' && Date.now() < deadline) text = await textOf(await relay.dial(`${relay.guest}_905`));
  assert.equal(text, 'welcome');
});

test('a host that is not there is a connection closed, and one that comes back is found', async (context) => {
  const relay = await startRelay(context);
  assert.equal(await textOf(await relay.dial(`${relay.guest}_905`)), '');
  await relay.serve(`${relay.path}_901`, (socket) => socket.end('back'));
  assert.equal(await textOf(await relay.dial(`${relay.guest}_905`)), 'back');
});

test('a relay with nothing to do never wakes up, also with connections that hang', async (context) => {
  const relay = await startRelay(context);
  const accepted: Socket[] = [];
  await relay.serve(`${relay.path}_901`, (socket) => {
    accepted.push(socket);
    socket.pause();
  });
  const guest = await relay.dial(`${relay.guest}_905`);
  guest.write(Buffer.alloc(4 * 1024 * 1024));
  while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
  guest.destroy();
  // The host does not read and the guest is gone: there is nothing that could be done.
  const pid = relay.process.pid as number;
  let before = '';
  while (before !== (before = switchesOf(pid))) await new Promise((resolve) => setTimeout(resolve, 100));
  // That nothing happens is no event.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(switchesOf(pid), before);
});

test('a socket that an earlier relay left is taken over; where it can\'t listen, it says so in one line', async (context) => {
  const relay = await startRelay(context);
  const words = ['vsock', '--cid', '3', '--port', '905', '--guest-socket', `${relay.guest}.other`, '--uds-path'];
  relay.process.kill('SIGKILL');
  await once(relay.process, 'close');
  assert.ok(existsSync(relay.path));
  const second = spawn(AGENT, [...words, relay.path], { stdio: 'ignore' });
  context.after(() => second.kill('SIGKILL'));
  await untilListening(relay.path);
  const { status, stderr } = spawnSync(AGENT, [...words, '/no/such/directory/vm.vsock'], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.equal(stderr, 'slicer-agent: error: listen on a socket: No such file or directory\n');
});

for (const [option, value] of [['--cid', '2'], ['--cid', '4294967295'], ['--port', '1024'], ['--port', '0'], ['--port', 'x']] as const) {
  test(`${option} ${value} is refused`, () => {
    const options = { '--cid': '3', '--port': '905', [option]: value };
    const words = Object.entries(options).flat();
    const { status, stderr } = spawnSync(AGENT, ['vsock', ...words, '--uds-path', '/no/such', '--guest-socket', '/no/such'], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`^slicer-agent: error: expected a number from [0-9]+ to [0-9]+ for ${option}, got ${value}\n`));
  });
}

function statusOf(pid: number): Record<string, string> {
  return Object.fromEntries(readFileSync(`/proc/${pid}/status`, 'latin1').split('\n').map((line) => line.split(/:\s+/) as [string, string]));
}

const switchesOf = (pid: number): string => statusOf(pid)['voluntary_ctxt_switches'] ?? '';
