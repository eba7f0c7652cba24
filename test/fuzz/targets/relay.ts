// The relay between a VM's VSOCK and the host's Unix sockets, with the compiler's sanitizers, over real sockets:
// the first line of whoever dials the guest, and what both sides send each other.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import type { Target } from '../engine.ts';
import { pieces } from '../expectations.ts';
import { SanitizedRelay } from '../sanitized/relay.ts';

/** Where the guest listens. */
const PORT = 900;
const LINE_MAX_BYTES = 32;
const PORT_MAX = 2 ** 32 - 2;

/** What stands behind a line that names a port; undefined without one. */
function behindLine(input: Buffer): { port: number; rest: Buffer } | undefined {
  const end = input.indexOf(0x0a);
  const [, digits] = /^CONNECT ([0-9]+)$/.exec(input.toString('latin1', 0, Math.max(0, end))) ?? [];
  const port = Number(digits);
  return end < 0 || end >= LINE_MAX_BYTES || digits === undefined || port > PORT_MAX ? undefined : { port, rest: input.subarray(end + 1) };
}

interface Side {
  readonly received: () => Buffer;
  readonly closed: Promise<void>;
}

function sideOf(socket: Socket, onData: (count: number) => void = () => undefined): Side {
  const chunks: Buffer[] = [];
  let count = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    onData(count += chunk.length);
  }).on('error', () => undefined);
  return { received: () => Buffer.concat(chunks), closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}

let relay: SanitizedRelay | undefined;

const write = (socket: Socket, chunks: readonly Buffer[]): void => chunks.forEach((chunk) => void socket.write(chunk));

const links: Target = {
  name: 'relay',
  of: 'agent/sys.c, relay: CONNECT, and what guest and host send through it, under the sanitizers',
  corpus: [
    'CONNECT 900\n', 'CONNECT 900\nPOST /v1/challenge HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', 'CONNECT 0900\nx', 'CONNECT 901\nx', 'CONNECT 4294967294\n', `CONNECT ${'0'.repeat(20)}900\n`,
    `CONNECT 900\n${'x'.repeat(2000)}`, 'POST /v1/hello HTTP/1.1\r\nHost: slicer\r\n\r\n',
  ],
  words: ['CONNECT ', '900', '\n', '\r\n', ' 900\n', '+900\n', '-1\n', '0x384\n', '4294967295\n', '4294968196\n', '18446744073709552516\n', 'OK 0\n', 'CONNECT 900\n'],
  maxBytes: 3000,
  check: async (input, random) => {
    if (relay === undefined || relay.ended !== undefined) relay = await SanitizedRelay.start();
    const opener = random.once(3) ? 'guest' : 'host';
    const link = opener === 'guest' ? { port: PORT, rest: input } : behindLine(input);
    const isServed = link?.port === PORT;
    // Now and then more than all the buffers on the way hold.
    const sent = random.once(40) && isServed ? Buffer.concat([input, ...Array.from({ length: random.below(200) }, () => input)]) : input;
    const rest = sent.subarray(input.length - (link?.rest.length ?? 0));
    const answer = random.pick([Buffer.alloc(0), Buffer.from('yes'), input, random.once(20) ? Buffer.alloc(300_000, 'y') : input]);
    const ender = random.pick(['opener', 'other'] as const);
    const others: Side[] = [];
    relay.onDialled = (socket) => {
      const isAtOnce = ender === 'other' || rest.length === 0;
      others.push(sideOf(socket, (count) => {
        if (count < rest.length) return;
        // Node reads no more where a write failed, as it does once the opener has ended.
        if (!isAtOnce) write(socket, [answer]);
        if (ender === 'other') socket.end();
      }));
      if (isAtOnce) write(socket, pieces(random, answer));
      if (ender === 'other' && rest.length === 0) socket.end();
    };
    const socket = relay.dial(opener);
    const own = sideOf(socket);
    write(socket, [...pieces(random, input), sent.subarray(input.length)]);
    if (ender === 'opener' || link === undefined) socket.end();
    await own.closed;
    await Promise.all(others.map(({ closed }) => closed));
    assert.equal(relay.ended, undefined);

    const received = own.received();
    if (!isServed) {
      assert.equal(others.length, 0, 'the guest was dialled');
      return assert.equal(received.length, 0, `an answer: ${JSON.stringify(received.toString('latin1'))}`);
    }
    assert.equal(others.length, 1);
    assert.ok((others[0] as Side).received().equals(rest), 'what was sent did not come, or not so');
    const expected = Buffer.concat([Buffer.from(opener === 'host' ? 'OK 0\n' : ''), answer]);
    assert.ok(ender === 'other' ? received.equals(expected) : received.equals(expected.subarray(0, received.length)), 'what was answered did not come, or not so');
  },
};

export const relayTargets: readonly Target[] = [links];
