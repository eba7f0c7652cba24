// What is said about a change of a secret and the running VMs it goes to.
import type { Delivery } from '../api/secrets.ts';
import type { Command } from 'commander';
import { formatDurationMs } from '../api/duration.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';
import { durationMs } from './option-values.ts';
import { say } from './output.ts';

export interface WaitFlags {
  /** Milliseconds, or false for --no-wait. */
  readonly wait?: number | false;
}

/** `defaultMs`: how long to wait when no flag says; undefined for not at all. */
export function addWaitOptions(command: Command, defaultMs: number | undefined): Command {
  const shown = defaultMs === undefined ? 'it does not wait' : formatDurationMs(defaultMs);
  command.option('--wait <duration>', `how long running VMs may take to follow (default: ${shown})`, durationMs('--wait'));
  return command.option('--no-wait', 'return as soon as the store has the change');
}

export function waitMsOf({ wait }: WaitFlags, defaultMs: number | undefined): number | undefined {
  return wait === false ? undefined : (wait ?? defaultMs);
}

export interface Change {
  /** `secret api-key updated` */
  readonly fact: string;
  /** What a VM does that follows it: `hold the new value`. */
  readonly effect: string;
}

/** Says what changed and how many VMs follow. Throws wait_timeout when some do not: the change itself stands. */
export function reportChange(context: Context, { fact, effect }: Change, delivery: Delivery | undefined): void {
  if (delivery === undefined) return say(context, fact);
  const { holding, running, pending } = delivery;
  say(context, `${fact}: ${running === 0 ? 'no running VM is granted it' : `${holding} of ${running} running VMs that are granted it ${effect}`}`);
  if (pending.length > 0) {
    throw fail('wait_timeout', `not yet delivered to ${pending.join(', ')}`, 'see why with: slicer vm secrets');
  }
}
