// A change that the file system refuses at one of its system calls.
import assert from 'node:assert/strict';
import { OPERATIONS } from './operations.ts';
import type { Call } from './strace.ts';
import { strike } from './strike.ts';

/** Fails the call, and holds the change to its word; resolves with whether the change failed with it. */
export async function assertRefused(title: string, call: Call, errno: string): Promise<boolean> {
  const { struck, outcome, problem } = await strike(title, call, `error=${errno}`);
  const where = `${title}, ${errno} at ${call.name} ${call.ordinal} of the ${call.thread} thread`;
  assert.ok(struck, `${where}: it did not come`);
  assert.notEqual(outcome, 'unknown', `${where}: the process ended`);
  // A temporary file that can't be removed is no reason to refuse a change that is made.
  if (outcome === 'made') return false;
  const isMade = problem?.message.includes('is made, but');
  const isFull = errno === 'ENOSPC' || errno === 'EDQUOT';
  assert.equal(problem?.code, OPERATIONS[title]?.refusedAs ?? (isFull && !isMade ? 'store_full' : 'store_not_writable'), `${where}: ${problem?.code} ${problem?.message}`);
  assert.match(problem?.message ?? '', new RegExp(errno), where);
  assert.ok((problem?.hint ?? '') !== '', `${where}: "${problem?.message}" has no next command`);
  assert.doesNotMatch(problem?.message ?? '', /new new|old old/, where);
  return true;
}
