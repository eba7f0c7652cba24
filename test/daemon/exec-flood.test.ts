// A command's output comes from a guest, which may send what no command would: it costs the daemon no more than
// what the limits say.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { FRAME, FRAME_MAX_BYTES, encodeFrame } from '../../src/wire/exec-frames.ts';
import { payload, type RunCommand } from '../live/wire-agent.ts';
import { bench, send } from './daemon.ts';

const MIB = 1024 * 1024;

async function withCommand(t: TestContext, run: RunCommand) {
  const set = await bench(t);
  const agent = await set.attach('db');
  await agent.establish();
  agent.runCommand = run;
  return set;
}

/** Writes `bytes` to the host again and again, as fast as it takes them, at most `times`; resolves with how often. */
async function flood(socket: Socket, bytes: Uint8Array, times: number): Promise<number> {
  const closed = once(socket, 'close');
  let sent = 0;
  for (; sent < times && !socket.destroyed; sent += 1) {
    if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), closed]);
  }
  return sent;
}

test('output in frames of no bytes costs the daemon nothing', async (t) => {
  const empty = Buffer.concat(Array.from({ length: 10_000 }, () => encodeFrame(FRAME.stdout, new Uint8Array(0))));
  const { api } = await withCommand(t, (_request, reply, socket) => {
    reply({ type: FRAME.started, payload: payload('1') });
    void flood(socket, empty, 60).then(() => reply({ type: FRAME.exit, payload: payload('0') }));
    return () => {};
  });
  const before = process.memoryUsage().rss;
  const { status, body } = await api('POST', '/vm/db/exec?cmd=x&buffered=true');
  const grown = process.memoryUsage().rss - before;
  assert.deepEqual([status, body.stdout], [200, '']);
  assert.ok(grown < 100 * MIB, `the daemon grew by ${(grown / MIB).toFixed(0)} MiB`);
});

test('a client that reads slowly leaves nothing behind in the daemon for each pause', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const { socket } = await withCommand(t, (_request, reply, guest) => {
    reply({ type: FRAME.started, payload: payload('1') });
    void flood(guest, encodeFrame(FRAME.stdout, new Uint8Array(FRAME_MAX_BYTES)), 300).then(() =>
      reply({ type: FRAME.exit, payload: payload('0') }));
    return () => {};
  });
  const answer = await send({ socketPath: socket }, 'POST', '/vm/db/exec?cmd=x&stdio=base64');
  // Once nothing moves any more the daemon waits for this reader.
  const seen = () => answer.socket.bytesRead;
  let size = 0;
  for await (const chunk of answer) {
    size += (chunk as Buffer).byteLength;
    for (let before = -1; before !== seen();) {
      before = seen();
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert.ok(size > 300 * FRAME_MAX_BYTES);
  assert.deepEqual(warnings, []);
});
