// Dials the agent in a guest through its VMM's socket: `CONNECT PORT`, answered by `OK PORT` (as
// Firecracker, Cloud Hypervisor and vhost-device-vsock have it).
//
// vhost-device-vsock 0.3.0 gives the host's connections the ports 0, 1, 2 and so on of the host's side. When
// it comes to one that the guest is connected to, which is 901 as a rule, it refuses that dial and all that
// follow, until the guest's connection ends. So a guest that is connected, and can't be dialled, is
// disconnected for a moment: its agent comes back within a tenth of a second, with the session that it has.
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { atOwnedSocket } from '../socket/owned-socket.ts';
import { AGENT_PORT } from '../wire/ports.ts';
import type { AgentSockets } from './agent-sockets.ts';

/** The number is that of a local port, up to ten digits; nothing here needs it. */
const ANSWER = /^OK [0-9]{1,10}\n$/;
const ANSWER_MAX_BYTES = 14;

/** Between two dials of a guest that was disconnected: an agent is back no sooner than after 50 ms. */
const REDIAL_MS = 10;
const REDIALS_MAX = 100;

export const unreachable = (why: string): SlicerError =>
  fail('agent_unreachable', `the agent in the guest does not answer: ${why}`, 'slicer vm logs NAME shows the console of the guest');

export const agentProtocol = (what: string): SlicerError =>
  fail('agent_protocol', `the agent in the guest breaks the protocol: ${what}`);

export const late = (): SlicerError => unreachable('no answer in time');

interface Dialled {
  readonly socket: Socket;
  /** Bytes that came after the answer. */
  readonly rest: Buffer;
}

/** A socket to the agent. Throws agent_unreachable, agent_protocol, or the signal's reason. */
export async function dialAgent(sockets: AgentSockets, signal: AbortSignal): Promise<Dialled> {
  let dialled = await dialOnce(sockets, signal);
  if (dialled === undefined && sockets.isGuestConnected) {
    for (let redials = 0; dialled === undefined && redials < REDIALS_MAX && !sockets.isGuestDown; redials += 1) {
      sockets.disconnectGuest();
      await delay(REDIAL_MS);
      dialled = await dialOnce(sockets, signal);
    }
  }
  if (dialled === undefined) throw unreachable('nobody listens in the guest');
  return dialled;
}

/** Undefined when the connection was closed instead of an answer. */
function dialOnce(sockets: AgentSockets, signal: AbortSignal): Promise<Dialled | undefined> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    if (sockets.isExhausted) return reject(unreachable('too many calls wait for it'));
    let socket: Socket;
    try {
      socket = atOwnedSocket(sockets.path, sockets.owner, (path) => connect(path));
    } catch (error) {
      return reject(unreachable((error as NodeJS.ErrnoException).code ?? 'its socket can\'t be used'));
    }
    let answer = '';
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
    };
    const refuse = (error: Error, leave = (): void => sockets.end(socket)): void => {
      settle();
      socket.on('error', () => {});
      leave();
      reject(error);
    };
    const onAbort = (): void => refuse(signal.reason as Error, () => sockets.abandon(socket));
    signal.addEventListener('abort', onAbort);
    socket.on('error', (error: NodeJS.ErrnoException) => refuse(unreachable(error.code ?? 'the connection failed')));
    socket.on('close', () => {
      settle();
      resolve(undefined);
    });
    socket.on('connect', () => socket.write(`CONNECT ${AGENT_PORT}\n`));
    socket.on('data', (chunk) => {
      const end = chunk.indexOf(0x0a) + 1;
      answer += chunk.toString('latin1', 0, end === 0 ? ANSWER_MAX_BYTES : end);
      if (end === 0 && answer.length < ANSWER_MAX_BYTES) return;
      if (!ANSWER.test(answer)) return refuse(agentProtocol('expected OK and a port number'));
      socket.pause();
      settle();
      resolve({ socket, rest: chunk.subarray(end) });
    });
  });
}
