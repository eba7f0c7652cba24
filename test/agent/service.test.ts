// The agent as a service: what it tells the manager that started it, and what it takes from there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT, name, outcomeOf, rootOnly, startGuest, value } from './guest-fixture.ts';
import { messagesOf, startPeer } from './unix-peer.ts';

for (const [kind, path] of [['a path', '/dev/shm/slicer-notify-test'], ['an abstract name', '@slicer-notify-test']] as const) {
  test(`the service manager, at ${kind}, is told READY=1 when the first sync is in place, and how many secrets there are`, async (context) => {
    const guest = await startGuest(context);
    await guest.store.create(name('a'), value('1'), rootOnly);
    const socket = `${path}-${process.pid}`;
    const messages = messagesOf(await startPeer(context, 'datagrams', socket));
    void guest.run([], { NOTIFY_SOCKET: socket });
    assert.equal((await messages.next()).value, 'READY=1\nSTATUS=holds 1 secrets');
    assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), '1');
    await guest.store.create(name('b'), value('2'), rootOnly);
    assert.equal((await messages.next()).value, 'READY=1\nSTATUS=holds 2 secrets');
  });
}

test('the manager is not told that an agent is ready which has no host, but what it lacks', async (context) => {
  const guest = await startGuest(context);
  await guest.vm.close();
  const socket = `/dev/shm/slicer-notify-no-host-${process.pid}`;
  const messages = messagesOf(await startPeer(context, 'datagrams', socket));
  void guest.agent(['run'], ['env', `NOTIFY_SOCKET=${socket}`]);
  assert.match((await messages.next()).value as string, /^STATUS=connect to a socket: No such file/);
});

test('a manager that has gone does not stop the agent', async (context) => {
  const guest = await startGuest(context);
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.run([], { NOTIFY_SOCKET: '/dev/shm/slicer-no-such-manager' });
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), '1');
});

test('a socket that is no listener on VSOCK port 900 is refused, whatever the manager calls it', async (context) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const file = openSync('/dev/null', 'r');
  context.after(() => closeSync(file));
  for (const descriptor of [fd, file]) {
    const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" run --dir /dev/shm/slicer-no-such-directory/secrets';
    const child = spawn('sh', ['-c', script, AGENT], { stdio: ['ignore', 'pipe', 'pipe', descriptor] });
    const { status, stderr } = await outcomeOf(child);
    assert.notEqual(status, 0);
    assert.match(stderr, descriptor === fd
      ? /^slicer-agent: error: expected a listener on VSOCK port 900 from the service manager, got another socket\n/
      : /^slicer-agent: error: getsockname: Socket operation on non-socket\n/);
  }
});

test('userdata that is held back runs when somebody asks for it, and is waited for', async (context) => {
  let ran = false;
  const guest = await startGuest(context, {
    vm: { userdata: Buffer.from('echo ran'), onUserdataResult: async () => void (ran = true) },
  });
  await guest.run(['--hold-userdata']);
  await guest.store.create(name('a'), value('1'), rootOnly);
  await guest.caughtUp();
  assert.equal(ran, false);
  assert.deepEqual(await guest.agent(['userdata']), { status: 0, stdout: 'userdata ran\n', stderr: '' });
  assert.equal(ran, true);
});

test('an agent that was started again runs no userdata a second time', async (context) => {
  let runs = 0;
  const guest = await startGuest(context, { vm: { userdata: Buffer.from('true'), onUserdataResult: async () => void (runs += 1) } });
  const first = await guest.run(['--hold-userdata']);
  assert.equal((await guest.agent(['userdata'])).stdout, 'userdata ran\n');
  first.kill('SIGKILL');
  await new Promise((resolve) => first.once('close', resolve));
  await guest.run(['--hold-userdata']);
  let asked = await guest.agent(['userdata']);
  // Until it has made its socket again, there is no agent to ask.
  while (asked.status === 1) asked = await guest.agent(['userdata']);
  assert.equal(asked.stdout, 'there is no userdata, or it was handed out before\n');
  assert.equal(runs, 1);
});

test('without an agent there is nobody to ask for userdata', async (context) => {
  const guest = await startGuest(context);
  const { status, stderr } = await guest.agent(['userdata']);
  assert.equal(status, 1);
  assert.match(stderr, /no agent runs here/);
});
