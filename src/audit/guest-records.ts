// What guests read, and what they were refused. Every first read of a version is on record: how many there
// are the operator decides, who changes secrets. How often a guest reads the same again, or is refused, the
// guest decides: those are written at a bounded rate, and counted beyond it.
import { LimitedRecords, type Bucket } from './limited-records.ts';
import type { AuditLog } from './log.ts';
import { ACTOR, readEntry, type ReadForm } from './record.ts';

/** Of a secret in one form. */
export interface Read extends ReadForm {
  /** Grows with every change, within one process. */
  readonly version: number;
}

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** For each VM. A record has at most 600 bytes: a VM that does nothing else writes 10 MB a day. */
export const REFUSALS: Rate = { burst: 20, perSecond: 0.1 };
/** A VM that boots again reads all its secrets again. */
const REPEATED_READS: Rate = { burst: 1_000, perSecond: 0.1 };

export class GuestRecords {
  readonly #log: Pick<AuditLog, 'note' | 'noteReads'>;
  readonly #refusals: LimitedRecords;
  readonly #repeated: LimitedRecords;
  /** By VM: the highest version whose read is on record, with all below that it may have. */
  readonly #readUpTo = new Map<string, number>();

  constructor(log: Pick<AuditLog, 'note' | 'noteReads'>, newBucket: (rate: Rate) => Bucket) {
    this.#log = log;
    this.#refusals = new LimitedRecords(log, () => newBucket(REFUSALS));
    this.#repeated = new LimitedRecords(log, () => newBucket(REPEATED_READS));
  }

  get suppressed(): number {
    return this.#refusals.suppressed + this.#repeated.suppressed;
  }

  /**
   * The VM is sent `reads`: all that it may have, or all that changed since `upTo` was last less. Resolves
   * when that is written, or can't be.
   */
  read(vm: string, reads: readonly Read[], upTo: number): Promise<unknown> {
    const before = this.#readUpTo.get(vm) ?? -1;
    this.#readUpTo.set(vm, Math.max(before, upTo));
    // As they came, and no copy: see formatReads.
    if (reads.every(({ version }) => version > before)) return this.#log.noteReads(vm, reads);
    const first = reads.filter(({ version }) => version > before);
    const repeated = reads.filter(({ version }) => version <= before);
    return Promise.all([this.#log.noteReads(vm, first), ...repeated.map((read) => this.#repeated.note(vm, 'read', readEntry(vm, read)))]);
  }

  refused(vm: string, reason: string): void {
    void this.#refusals.note(vm, reason, { actor: ACTOR.vm, event: 'refusal', vm, outcome: 'refused', reason });
  }

  /** The VM is not served any more. */
  end(vm: string): void {
    this.#readUpTo.delete(vm);
    this.#refusals.end(vm);
    this.#repeated.end(vm);
  }

  endAll(): void {
    this.#refusals.endAll();
    this.#repeated.endAll();
  }
}
