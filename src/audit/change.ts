// A change between two records:
//
//   1. `begun` is on the disk before anything is done: a log that can't be written makes the change fail
//   2. the change
//   3. `ok` is on the disk, or `failed` written, before anybody is told
//
// A begun record without an end is a change that was under way when the process ended: it may have been made.
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { AuditLog } from './log.ts';
import type { AuditEntry } from './record.ts';

export type Change = Omit<AuditEntry, 'outcome' | 'id'>;

/**
 * Makes a change; `ended` says what its result adds to the last record. Throws audit_not_writable, with
 * nothing done when the first record could not be written, and what `make` throws.
 */
export async function recordChange<T>(
  log: AuditLog,
  id: string,
  change: Change,
  make: () => Promise<T>,
  ended: (result: T) => Partial<AuditEntry> = () => ({}),
): Promise<T> {
  await log.append({ ...change, id, outcome: 'begun' });
  let result: T;
  try {
    result = await make();
  } catch (error) {
    await log.note({ ...change, id, outcome: 'failed', reason: reasonOf(error) });
    throw error;
  }
  try {
    await log.append({ ...change, ...ended(result), id, outcome: 'ok' });
  } catch {
    throw fail('audit_not_writable', `it is done, but the audit log ${log.path} has only its beginning, since it can't be written now`, `df -h ${log.path}`);
  }
  return result;
}

/** An error as a code: texts may quote what nobody should see. */
export const reasonOf = (error: unknown): string => (error instanceof SlicerError ? error.code : 'internal');
