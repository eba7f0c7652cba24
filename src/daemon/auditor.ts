// What the daemon puts on record, and whom it names as the actor.
import { recordChange, type Change } from '../audit/change.ts';
import { GuestRecords } from '../audit/guest-records.ts';
import { LimitedRecords } from '../audit/limited-records.ts';
import { openAuditLog, type AuditLog } from '../audit/log.ts';
import { ACTOR, type AuditEntry } from '../audit/record.ts';
import type { AuditConfig } from '../config/config.ts';
import { randomHex } from '../live/dependencies.ts';
import { TokenBucket } from '../live/token-bucket.ts';
import type { NameChange } from '../store/store.ts';
import type { Log } from './log.ts';

const ID_DIGITS = 16;

/** For each actor: whoever may reach the API may send it anything. */
const REFUSALS = { burst: 50, perSecond: 0.2 };

export class Auditor {
  readonly log: AuditLog;
  readonly guests: GuestRecords;
  readonly #refusals: LimitedRecords;

  /** Throws audit_not_writable. */
  constructor(config: AuditConfig, log: Log) {
    const monotonicMs = (): number => performance.now();
    this.log = openAuditLog({
      ...config, nowMs: Date.now,
      onWritable: (isWritable, code) => (isWritable
        ? log.info({}, 'the audit log can be written again')
        : log.error({ code }, 'the audit log can\'t be written: changes are refused')),
    });
    this.guests = new GuestRecords(this.log, (rate) => new TokenBucket(rate, monotonicMs));
    this.#refusals = new LimitedRecords(this.log, () => new TokenBucket(REFUSALS, monotonicMs));
  }

  get suppressed(): number {
    return this.guests.suppressed + this.#refusals.suppressed;
  }

  /** Makes a change that is on record before and after. Throws audit_not_writable, and what `make` throws. */
  change<T>(change: Change, make: () => Promise<T>, ended?: (result: T) => Partial<AuditEntry>): Promise<T> {
    return recordChange(this.log, randomHex().slice(0, ID_DIGITS), change, make, ended);
  }

  /** A request that its sender may not make. */
  refused(actor: string, reason: string, rest: Pick<AuditEntry, 'request' | 'secret' | 'vm'>): void {
    void this.#refusals.note(actor, reason, { actor, event: 'refusal', outcome: 'refused', reason, ...rest });
  }

  /** Somebody changed a file of the store by hand; who, no file system tells. */
  changedByHand({ name, kind }: NameChange): void {
    void this.log.note({ actor: ACTOR.file, event: kind, secret: name, outcome: 'ok' });
  }

  daemon(event: 'start' | 'stop'): Promise<void> {
    return this.log.note({ actor: ACTOR.daemon, event, outcome: 'ok' });
  }

  async close(): Promise<void> {
    this.guests.endAll();
    this.#refusals.endAll();
    await this.daemon('stop');
    await this.log.close();
  }
}
