// Dials the agent in a guest through its VMM's socket: `CONNECT PORT`, answered by `OK PORT` (as
// Firecracker, Cloud Hypervisor and vhost-device-vsock have it).
import { connect, type Socket } from 'node:net';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import { AGENT_PORT } from '../wire/ports.ts';
import type { AgentSockets } from './agent-sockets.ts';

/** The number is that of a local port, up to ten digits; nothing here needs it. */
const ANSWER = /^OK [0-9]{1,10}\n$/;
const ANSWER_MAX_BYTES = 14;

export const unreachable = (why: string): SlicerError =>
  fail('agent_unreachable', `the agent in the guest does not answer: ${why}`, 'slicer vm logs NAME shows the console of the guest');

export const agentProtocol = (what: string): SlicerError =>
  fail('agent_protocol', `the agent in the guest breaks the protocol: ${what}`);

export const late = (): SlicerError => unreachable('no answer in time');

/**
 * A socket to the agent, and the bytes that came after the answer. Throws agent_unreachable,
 * agent_protocol, or the signal's reason.
 */
export function dialAgent(sockets: AgentSockets, signal: AbortSignal): Promise<{ socket: Socket; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect(sockets.path);
    let answer = '';
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
    };
    const refuse = (error: Error): void => {
      settle();
      socket.on('error', () => {});
      sockets.end(socket);
      reject(error);
    };
    const onAbort = (): void => refuse(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    socket.on('error', (error: NodeJS.ErrnoException) => refuse(unreachable(error.code ?? 'the connection failed')));
    socket.on('close', () => refuse(unreachable('nobody listens in the guest')));
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
