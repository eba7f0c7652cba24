// One call to the agent in a guest, over a connection on which both sides proved the session key.
import { fail } from '../errors/slicer-error.ts';
import { parseAnswer, type AgentRequest, type AgentResponse } from './agent-connection.ts';
import { agentProtocol, late } from './agent-dial.ts';
import type { AgentCall } from './contract.ts';
import { withDeadline } from './deadline.ts';
import { execSession } from './exec-session.ts';
import { health } from './guest-messages.ts';
import type { LiveLimits } from './limits.ts';
import type { ProvenConnection } from './session-keeper.ts';

export function agentCall({ connection, authorization, taken }: ProvenConnection, limits: LiveLimits): AgentCall {
  const headers = { Authorization: authorization };
  const ask = (request: Omit<AgentRequest, 'headers' | 'signal'>): Promise<AgentResponse> =>
    withDeadline(limits.answerMs, late, [], (signal) => connection.request({ ...request, headers, signal })).finally(taken);
  return {
    async health() {
      const { status, body } = await ask({ method: 'GET', target: '/v1/health' });
      if (status !== 200) throw answeredWith(status);
      return parseAnswer(health, body);
    },
    async exec(request) {
      const { status } = await ask({ method: 'POST', target: '/v1/exec', body: request });
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
