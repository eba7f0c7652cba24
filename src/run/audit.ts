// The audit log of a VM in the foreground, where somebody asked for one: the same records as the daemon's, in
// a file of its own.
import { randomBytes } from 'node:crypto';
import { reasonOf } from '../audit/change.ts';
import { GuestRecords } from '../audit/guest-records.ts';
import { openAuditLog, type AuditLog } from '../audit/log.ts';
import { ACTOR, type AuditEntry } from '../audit/record.ts';
import { TokenBucket } from '../live/token-bucket.ts';
import type { Witness } from '../live/witness.ts';
import type { Grant } from '../secret/grant.ts';

export interface Granted {
  readonly vm: string;
  readonly grant: Grant;
  readonly boot: readonly { readonly name: string; readonly secret: string }[];
  readonly live: readonly { readonly name: string; readonly secret: string }[];
}

const MAX_BYTES = 64 * 1024 * 1024;
const KEEP = 3;
const ID_BYTES = 8;

export class ForegroundAudit {
  readonly #log: AuditLog;
  readonly #guests: GuestRecords;

  /** `path` is absolute. Throws audit_not_writable. */
  constructor(path: string, warn: (fact: string) => void) {
    this.#log = openAuditLog({
      path, maxBytes: MAX_BYTES, keep: KEEP, nowMs: Date.now,
      onWritable: (isWritable, code) => warn(isWritable ? 'the audit log can be written again' : `the audit log can't be written (${code})`),
    });
    this.#guests = new GuestRecords(this.#log, (rate) => new TokenBucket(rate, () => performance.now()));
  }

  get witness(): Witness {
    return {
      read: (vm, items, version) => this.#guests.read(vm, items, version),
      refused: (vm, reason) => this.#guests.refused(vm, reason),
      pushed: () => undefined,
      ended: (vm) => this.#guests.end(vm),
    };
  }

  /** Starts or serves a VM; it is on record before. Throws audit_not_writable, with nothing done, and what `start` throws. */
  async grant<T>({ vm, grant, boot, live }: Granted, start: () => Promise<T>): Promise<T> {
    const credentials = [...new Map([...boot, ...live].map(({ name, secret }) => [name, { name, secret }])).values()];
    const change: Omit<AuditEntry, 'outcome'> = {
      actor: ACTOR.foreground, event: 'grant', vm, grant: grant === 'all' ? 'all' : [...grant], id: randomBytes(ID_BYTES).toString('hex'),
      ...(credentials.length === 0 ? {} : { credentials }),
    };
    await this.#log.append({ ...change, outcome: 'begun' });
    let started: T;
    try {
      started = await start();
    } catch (error) {
      await this.#log.note({ ...change, outcome: 'failed', reason: reasonOf(error) });
      throw error;
    }
    await this.#log.note(
      ...boot.map(({ name, secret }): AuditEntry => ({ actor: ACTOR.vm, event: 'read', vm, secret, outcome: 'ok', channel: 'boot', credential: name })),
      { ...change, outcome: 'ok' },
    );
    return started;
  }

  /** The VM is gone, or is not served any more. */
  async close(vm: string): Promise<void> {
    this.#guests.endAll();
    await this.#log.note({ actor: ACTOR.foreground, event: 'delete', vm, outcome: 'ok' });
    await this.#log.close();
  }
}
