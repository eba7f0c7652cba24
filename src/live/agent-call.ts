// One call to the agent in a guest, over a connection on which both sides proved the session key.
import { fail } from '../errors/slicer-error.ts';
import type { AgentConnection } from './agent-connection.ts';
import { parseAnswer } from './agent-connection.ts';
import { agentProtocol } from './agent-dial.ts';
import type { AgentCall } from './contract.ts';
import { execSession } from './exec-session.ts';
import { health } from './guest-messages.ts';
import type { LiveLimits } from './limits.ts';

export function agentCall(connection: AgentConnection, authorization: string, limits: LiveLimits): AgentCall {
  const headers = { Authorization: authorization };
  const signal = (): AbortSignal => AbortSignal.timeout(limits.answerMs);
  return {
    async health() {
      const { status, body } = await connection.request({ method: 'GET', target: '/v1/health', headers, signal: signal() });
      if (status !== 200) throw answeredWith(status);
      return parseAnswer(health, body);
    },
    async exec(request) {
      const { status } = await connection.request({ method: 'POST', target: '/v1/exec', headers, body: request, signal: signal() });
      if (status !== 101) throw answeredWith(status);
      return execSession(connection, limits.outputBacklogBytes);
    },
    close: () => connection.close(),
  };
}

/** 401 on a proved connection: the session ended between the proof and the call. */
function answeredWith(status: number): Error {
  if (status === 401) return fail('agent_not_ready', 'the session with the agent ended meanwhile', 'try again in a second');
  return agentProtocol(`it answered a call with ${status}`);
}
