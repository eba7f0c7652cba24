// Who asks over the API. A socket is an identity, and so is a token; nothing else in a request is one.
import type { HttpBindings } from '@hono/node-server';
import { ACTOR } from '../audit/record.ts';

/** `read` sees what there is and how it is, and changes nothing; `none` sees that the daemon lives. */
export type Role = 'admin' | 'read' | 'none';

export interface Caller {
  /** As records have it: the role of a socket, the name of a token, or `anybody` where none is asked for. */
  readonly actor: string;
  readonly role: Role;
}

/** Who sent a request to one listener. */
export type Identify = (incoming: HttpBindings['incoming']) => Caller;

export const NOBODY: Caller = { actor: ACTOR.nobody, role: 'none' };
export const ANYBODY: Caller = { actor: ACTOR.anybody, role: 'admin' };
