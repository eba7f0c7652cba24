// A running command as the host sees it: frames to and from the guest, with back-pressure both ways. What
// the guest sends is read only as fast as somebody takes it.
import type { Socket } from 'node:net';
import { encodeFrame, FRAME, FrameReader, type Frame } from '../wire/exec-frames.ts';
import type { AgentConnection } from './agent-connection.ts';
import { agentProtocol } from './agent-dial.ts';
import type { ExecSession } from './contract.ts';

const FROM_GUEST: ReadonlySet<number> = new Set([FRAME.started, FRAME.stdout, FRAME.stderr, FRAME.exit, FRAME.failed]);

/** Takes over a connection on which exec was answered with 101. `backlogBytes` is where reading pauses. */
export function execSession(connection: AgentConnection, backlogBytes: number): ExecSession {
  const frames: Frame[] = [];
  let waitingBytes = 0;
  let last = false;
  let ended: Error | undefined;
  let wake = (): void => {};
  let socket: Socket | undefined;

  const reader = new FrameReader((frame) => {
    if (last) return;
    if (!FROM_GUEST.has(frame.type)) throw agentProtocol(`an exec frame of type ${frame.type} from the guest`);
    last = frame.type === FRAME.exit || frame.type === FRAME.failed;
    // Output of no bytes says nothing, and a guest could send it without end.
    if (frame.payload.byteLength === 0 && (frame.type === FRAME.stdout || frame.type === FRAME.stderr)) return;
    frames.push(frame);
    waitingBytes += frame.payload.byteLength + FRAME_OVERHEAD_BYTES;
    if (waitingBytes > backlogBytes) socket?.pause();
    wake();
  });
  socket = connection.takeOver((chunk) => reader.push(chunk), (error) => {
    ended = error;
    wake();
  });

  const next = async (): Promise<Frame> => {
    for (;;) {
      const frame = frames.shift();
      if (frame !== undefined) {
        waitingBytes -= frame.payload.byteLength + FRAME_OVERHEAD_BYTES;
        if (waitingBytes <= backlogBytes / 2) socket.resume();
        return frame;
      }
      if (ended !== undefined) throw ended;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };

  return {
    frames: framesUntilLast(next, () => connection.close()),
    send: ({ type, payload }) => new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      socket.write(encodeFrame(type, payload), (error) => {
        if (error) reject(ended ?? error);
        else resolve();
      });
    }),
    close: () => connection.close(),
  };
}

/** What an empty frame costs while it waits: without it, empty frames would wait for nothing. */
const FRAME_OVERHEAD_BYTES = 128;

async function* framesUntilLast(next: () => Promise<Frame>, close: () => void): AsyncGenerator<Frame> {
  try {
    for (;;) {
      const frame = await next();
      yield frame;
      if (frame.type === FRAME.exit || frame.type === FRAME.failed) return;
    }
  } finally {
    close();
  }
}
