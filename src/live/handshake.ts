// The host's side of the proofs (src/wire/proof.ts): a session is offered to an agent that asked for
// one, and a call is made to an agent that has one.
import { fail } from '../errors/slicer-error.ts';
import { equalInConstantTime, guestProof, hostProof, sessionKey, type Nonces, type Purpose } from '../wire/proof.ts';
import { PROOF_SCHEME } from '../wire/protocol.ts';
import { AgentConnection, parseAnswer } from './agent-connection.ts';
import { agentProtocol } from './agent-dial.ts';
import { challengeAnswer } from './guest-messages.ts';
import { hmacSha256 } from './hmac.ts';

/**
 * Makes a session with the agent. `token` is the boot token, empty where there is none. `activate` is
 * called with the new session key before the agent can have it, since the agent may use it at once, and with the
 * agent's version where it tells one.
 * Resolves whether the agent wanted a session. Throws agent_unreachable, agent_protocol.
 */
export async function offerSession(
  agent: AgentConnection,
  token: string,
  randomHex: () => string,
  activate: (key: string, agentVersion: string | undefined) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const proven = await challenge(agent, 'session', token, randomHex, signal);
  if (proven === 'refused') return false;
  const { nonces, agentVersion } = proven;
  const share = randomHex();
  activate(sessionKey(hmacSha256, token, share, nonces), agentVersion);
  const body = { proof: hostProof(hmacSha256, token, 'session', nonces), share };
  const { status } = await agent.request({ method: 'PUT', target: '/v1/session', body, signal });
  if (status !== 204) throw agentProtocol(`it answered the offer of a session with ${status}`);
  return true;
}

/** The Authorization header for one call on this connection, after the agent proved that it has the session. */
export async function authorizeCall(
  agent: AgentConnection,
  key: string,
  randomHex: () => string,
  signal: AbortSignal,
): Promise<string> {
  const proven = await challenge(agent, 'call', key, randomHex, signal);
  if (proven === 'refused') throw fail('agent_not_ready', 'the agent in the guest has no session yet', 'try again in a second');
  return `${PROOF_SCHEME} ${hostProof(hmacSha256, key, 'call', proven.nonces)}`;
}

async function challenge(
  agent: AgentConnection,
  purpose: Purpose,
  key: string,
  randomHex: () => string,
  signal: AbortSignal,
): Promise<{ readonly nonces: Nonces; readonly agentVersion: string | undefined } | 'refused'> {
  const host = randomHex();
  const { status, body } = await agent.request({
    method: 'POST', target: '/v1/challenge', body: { purpose, nonce: host }, signal,
  });
  if (status === 409) return 'refused';
  if (status !== 200) throw agentProtocol(`it answered a challenge with ${status}`);
  const answer = parseAnswer(challengeAnswer, body);
  const nonces = { host, guest: answer.nonce };
  if (!equalInConstantTime(answer.proof, guestProof(hmacSha256, key, purpose, nonces))) {
    throw agentProtocol(purpose === 'session' && key !== '' ? 'it does not know the boot token' : 'its proof is wrong');
  }
  return { nonces, agentVersion: answer.agent_version };
}
