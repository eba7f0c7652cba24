import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { MESSAGE_MAX_BYTES, parseMessage, type GuestNotice } from '../../src/run/notify-message.ts';
import { startNotifyForwarder } from '../../src/run/notify-forwarder.ts';
import { serviceManager } from '../../src/run/service-manager.ts';

const parse = (text: string): GuestNotice | undefined => parseMessage(Buffer.from(text));

const CASES: readonly (readonly [string, GuestNotice | undefined])[] = [
  ['READY=1', { ready: true }],
  ['READY=1\n', { ready: true }],
  ['READY=1\nSTATUS=Up\nMAINPID=1', { ready: true, status: 'Up' }],
  ['STATUS=Starting', { ready: false, status: 'Starting' }],
  ['STATUS=', { ready: false, status: '' }],
  ['STATUS=a\nSTATUS=b', { ready: false, status: 'b' }],
  ['READY=0', undefined],
  ['XREADY=1', undefined],
  ['MAINPID=1', undefined],
  ['FDSTORE=1\nFDNAME=x', undefined],
  ['WATCHDOG=1\nSTOPPING=1\nRELOADING=1\nBUSERROR=x\nEXTEND_TIMEOUT_USEC=9', undefined],
  ['', undefined],
  ['STATUS=\x1b[31mred\x07\r\x00', { ready: false, status: '[31mred' }],
  ['STATUS=a\u202eb\u2028c', { ready: false, status: 'a b c' }],
  ['STATUS=grün …', { ready: false, status: 'grün …' }],
  [`STATUS=${'x'.repeat(200)}`, { ready: false, status: 'x'.repeat(200) }],
  [`STATUS=${'x'.repeat(201)}`, { ready: false, status: 'x'.repeat(200) }],
];

for (const [text, notice] of CASES) {
  test(`of ${JSON.stringify(text.slice(0, 50))} passes ${JSON.stringify(notice ?? 'nothing').slice(0, 60)}`, () => assert.deepEqual(parse(text), notice));
}

test('whatever a guest sends, a status is one printable line of at most 200 characters', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const status = parseMessage(Buffer.concat([Buffer.from('STATUS='), bytes]))?.status ?? '';
    assert.ok([...status].length <= 200);
    assert.doesNotMatch(status, /\p{C}|\p{Zl}|\p{Zp}/u);
  }));
});

interface Forwarder {
  readonly path: string;
  readonly notices: GuestNotice[];
  connect(): Promise<Socket>;
  noticed(): Promise<void>;
}

async function forwarder(t: TestContext): Promise<Forwarder> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-notify-'));
  const notices: GuestNotice[] = [];
  let wake: () => void = () => undefined;
  const running = await startNotifyForwarder(join(directory, 'vm.vsock'), undefined, (notice) => {
    notices.push(notice);
    wake();
  });
  t.after(async () => {
    await running.close();
    assert.equal(existsSync(join(directory, 'vm.vsock_8888')), false);
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, 'vm.vsock_8888');
  return {
    path, notices,
    connect: async () => {
      const socket = createConnection(path);
      await once(socket, 'connect');
      return socket;
    },
    noticed: () => new Promise((resolve) => (wake = resolve)),
  };
}

test('a message is passed on and its connection closed, though the guest closes nothing', async (t) => {
  const { connect, notices, path } = await forwarder(t);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const socket = await connect();
  socket.write('READY=1\nSTATUS=Up');
  socket.resume();
  await once(socket, 'close');
  assert.deepEqual(notices, [{ ready: true, status: 'Up' }]);
});

test('a message in parts is one message', async (t) => {
  const { connect, notices } = await forwarder(t);
  const socket = await connect();
  socket.setNoDelay(true);
  for (const part of ['REA', 'DY=1\nSTA', 'TUS=Up']) await new Promise((sent) => socket.write(part, sent));
  socket.resume();
  await once(socket, 'close');
  assert.deepEqual(notices, [{ ready: true, status: 'Up' }]);
});

test('a flood is cut off at its first bytes', async (t) => {
  const { connect, notices } = await forwarder(t);
  const socket = await connect();
  socket.on('error', () => undefined);
  socket.write('READY=1\n');
  socket.write(Buffer.alloc(MESSAGE_MAX_BYTES * 64, 'x'));
  socket.resume();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  assert.deepEqual(notices, [{ ready: true }]);
});

test('guests that hold connections open keep nobody else from being heard', async (t) => {
  const { connect, noticed, notices } = await forwarder(t);
  const held: Socket[] = [];
  for (let count = 0; count < 20; count += 1) {
    const socket = await connect();
    socket.on('error', () => undefined);
    held.push(socket.resume());
  }
  const heard = noticed();
  (await connect()).on('error', () => undefined).end('READY=1');
  await heard;
  assert.deepEqual(notices, [{ ready: true }]);
  for (const socket of held) socket.destroy();
});

/** A datagram socket as a service manager has it, which Node can't make: what arrives is written to stdout. */
async function manager(t: TestContext): Promise<{ readonly socket: string; readonly messages: () => string[]; until(count: number): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-manager-'));
  const program = join(directory, 'receiver');
  execFileSync('gcc', ['-O1', '-o', program, resolve(import.meta.dirname, 'datagram-receiver.c')]);
  const socket = join(directory, 'notify');
  const child = spawn(program, [socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let wake: () => void = () => undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  t.after(() => {
    child.kill();
    rmSync(directory, { recursive: true });
  });
  await once(child.stdout, 'data');
  const messages = (): string[] => text.split('\0').slice(1, -1);
  return {
    socket, messages,
    until: async (count) => {
      while (messages().length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

const skip = existsSync('/usr/bin/systemd-notify') ? false : 'systemd-notify is not there: apt-get install systemd';

test('the service manager is told once that the guest is ready, and each newest status', { skip }, async (t) => {
  const { socket, messages, until } = await manager(t);
  const warnings: string[] = [];
  const host = await serviceManager(socket, '/usr/bin:/bin', (fact) => warnings.push(fact));
  host?.tell({ ready: false, status: 'starting' });
  await until(1);
  host?.tell({ ready: true, status: '--up; $(id)' });
  host?.tell({ ready: true });
  await until(2);
  host?.tell({ ready: true });
  await host?.settled();
  assert.deepEqual(messages().map((message) => message.trim().split('\n').filter((line) => !line.startsWith('MAINPID=')).sort()), [
    ['STATUS=starting'], ['READY=1', 'STATUS=--up; $(id)'],
  ]);
  assert.deepEqual(warnings, []);
});

test('a service manager that is not there is a warning, once', { skip }, async () => {
  const warnings: string[] = [];
  const host = await serviceManager('/nonexistent/notify', '/usr/bin:/bin', (fact) => warnings.push(fact));
  host?.tell({ ready: true });
  host?.tell({ ready: false, status: 'x' });
  await host?.settled();
  assert.match(warnings.join('|'), /^\/usr\/bin\/systemd-notify ended with exit code 1$/);
});

test('where there is no systemd-notify nobody is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-empty-'));
  assert.equal(await serviceManager('/run/notify', directory, () => undefined), undefined);
  rmSync(directory, { recursive: true });
});
