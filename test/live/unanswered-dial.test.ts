// A dial that the guest has not taken is not closed: vhost-device-vsock 0.3.0 would not survive it when the
// guest takes it after all.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dialAgent } from '../../src/live/agent-dial.ts';
import { AgentSockets } from '../../src/live/agent-sockets.ts';
import { HostConnection } from './host-connection.ts';
import { bench, until } from './live-vm.ts';

const NO_OTHERS = { size: 0, closeAll: () => undefined };

/** A device that takes connections and leaves the answer to the test. */
async function silentDevice(t: TestContext): Promise<{ sockets: AgentSockets; taken: Socket[]; next: () => Promise<Socket> }> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-dial-'));
  const path = join(directory, 'vm.vsock');
  const taken: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined).resume();
    taken.push(socket);
    server.emit('taken', socket);
  });
  server.listen(path);
  await once(server, 'listening');
  const sockets = new AgentSockets(path, NO_OTHERS);
  t.after(() => {
    sockets.close();
    for (const socket of taken) socket.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { sockets, taken, next: async () => (await once(server, 'taken'))[0] as Socket };
}

async function givenUp({ sockets, next }: Awaited<ReturnType<typeof silentDevice>>): Promise<Socket> {
  const late = new AbortController();
  const dialled = dialAgent(sockets, late.signal);
  dialled.catch(() => undefined);
  const socket = await next();
  // CONNECT is there: the guest is being asked.
  await once(socket, 'data');
  late.abort(new Error('late'));
  await assert.rejects(dialled, /late/);
  return socket;
}

test('a dial that was given up is closed when the guest has answered it', async (t) => {
  const device = await silentDevice(t);
  const socket = await givenUp(device);
  // One more connection goes through all turns that a close would have needed.
  const probe = connect(device.sockets.path);
  await device.next();
  probe.destroy();
  assert.equal(socket.readableEnded, false);
  const ended = once(socket, 'end');
  socket.write('OK 1\n');
  await ended;
});

test('a guest that answers no dial is not dialled without end, and again after its reset', async (t) => {
  const device = await silentDevice(t);
  for (let dials = 0; dials < 32; dials += 1) await givenUp(device);
  await assert.rejects(dialAgent(device.sockets, new AbortController().signal), { name: 'SlicerError', code: 'agent_unreachable' });
  const ended = Promise.all(device.taken.map((socket) => once(socket, 'end')));
  device.sockets.guestDown();
  device.sockets.guestUp();
  await ended;
  await givenUp(device);
});

test('a dial that failed is no fault of a guest whose agent polls', async (t) => {
  const set = await bench(t, { limits: { handshakeMs: 1_000 } });
  await set.agent.establish();
  const serve = set.device.agent;
  set.device.agent = () => undefined;
  // Anybody in the guest may say hello while the agent is busy.
  const stranger = new HostConnection(await set.device.dialHost());
  await stranger.request('POST /v1/hello');
  await until(set.vm, () => set.vm.status().errors.some(({ code }) => code === 'agent_unreachable'));
  set.device.agent = serve;
  await set.agent.sync();
  set.agent.sync(true).catch(() => undefined);
  await until(set.vm, () => set.vm.status().errors.length === 0);
});
