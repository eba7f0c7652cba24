// Who asks over the API. A socket is an identity, and so is a token; nothing else in a request is one.
import type { HttpBindings } from '@hono/node-server';
import { ACTOR } from '../audit/record.ts';
import type { ApiRole } from '../config/config.ts';
import { carriesToken, type KnownToken } from './token.ts';

export interface Caller {
  /** As records have it: the role of a socket, the name of a token, or `anybody` where none is asked for. */
  readonly actor: string;
  /** `none` sees that the daemon lives. */
  readonly role: ApiRole | 'none';
}

/** Who sent a request to one listener. */
export type Identify = (incoming: HttpBindings['incoming']) => Caller;

const NOBODY: Caller = { actor: ACTOR.nobody, role: 'none' };
const ANYBODY: Caller = { actor: ACTOR.anybody, role: 'admin' };

/** Whoever the socket's file permissions let in. */
export const bySocket = (role: ApiRole): Identify => () => ({ actor: role, role });

/** `tokens` is undefined where none is asked for. Each is compared, so that the time tells nothing of which one fits. */
export function byToken(tokens: readonly KnownToken[] | undefined): Identify {
  if (tokens === undefined) return () => ANYBODY;
  return ({ headers: { authorization } }) => {
    const [known] = tokens.filter(({ token }) => carriesToken(authorization, token));
    return known === undefined ? NOBODY : { actor: known.name, role: known.role };
  };
}
