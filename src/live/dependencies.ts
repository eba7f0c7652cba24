// What the live channel takes from its surroundings.
import { randomBytes } from 'node:crypto';
import type { Archives } from './archives.ts';
import type { LiveLimits } from './limits.ts';
import type { Witness } from './witness.ts';

/** As pino has it: fields first. Nothing that is logged holds a value, a key or a token. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface LiveDependencies {
  readonly log: Log;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  /** 32 random bytes as 64 lower-case hexadecimal digits. */
  readonly randomHex: () => string;
  /** One for all VMs of a store, so that they share what was packed. */
  readonly archives: Archives;
  readonly limits: LiveLimits;
  /** Nobody when absent. */
  readonly witness?: Witness;
}

export const randomHex = (): string => randomBytes(32).toString('hex');
