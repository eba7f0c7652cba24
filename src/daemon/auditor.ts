// What the daemon puts on record, and whom it names as the actor; and what it counts of that.
import { recordChange, reasonOf, type Change } from '../audit/change.ts';
import { GuestRecords } from '../audit/guest-records.ts';
import { LimitedRecords } from '../audit/limited-records.ts';
import { openAuditLog, type AuditLog } from '../audit/log.ts';
import { ACTOR, type AuditEntry } from '../audit/record.ts';
import type { AuditConfig } from '../config/config.ts';
import { randomHex } from '../live/dependencies.ts';
import type { Witness } from '../live/witness.ts';
import { TokenBucket } from '../live/token-bucket.ts';
import type { NameChange } from '../store/store.ts';
import type { LaunchedVm } from '../vm/contract.ts';
import { Histogram } from './histogram.ts';
import type { Log } from './log.ts';

const ID_DIGITS = 16;

/** For each actor: whoever may reach the API may send it anything. */
const REFUSALS = { burst: 50, perSecond: 0.2 };

/** Seconds. A push to a guest that waits takes a millisecond or two, under emulation some ten. */
const PUSH_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How a command ended. */
export type ExecEnd = Pick<AuditEntry, 'outcome' | 'reason' | 'exit_code'>;

export class Auditor {
  readonly log: AuditLog;
  readonly #guests: GuestRecords;
  readonly #refusals: LimitedRecords;
  /** Secrets that were sent to VMs. */
  readonly reads = { boot: 0, live: 0 };
  readonly pushes = new Histogram(PUSH_BOUNDS);
  /** By reason. */
  readonly guestRefusals = new Map<string, number>();
  readonly apiRefusals = new Map<string, number>();

  /** Throws audit_not_writable. */
  constructor(config: AuditConfig, log: Log) {
    const monotonicMs = (): number => performance.now();
    this.log = openAuditLog({
      ...config, nowMs: Date.now,
      onWritable: (isWritable, code) => (isWritable
        ? log.info({}, 'the audit log can be written again')
        : log.error({ code }, 'the audit log can\'t be written: changes are refused')),
    });
    this.#guests = new GuestRecords(this.log, (rate) => new TokenBucket(rate, monotonicMs));
    this.#refusals = new LimitedRecords(this.log, () => new TokenBucket(REFUSALS, monotonicMs));
  }

  get suppressed(): number {
    return this.#guests.suppressed + this.#refusals.suppressed;
  }

  /** Makes a change that is on record before and after. Throws audit_not_writable, and what `make` throws. */
  change<T>(change: Change, make: () => Promise<T>): Promise<T> {
    return recordChange(this.log, newId(), change, make);
  }

  /**
   * Launches a VM. `launch` must call `begin` when the VM has its name and none of its processes runs, and let
   * what that throws undo the launch. Throws audit_not_writable, with the VM ended by `undo` when it runs
   * already, and what `launch` throws.
   */
  async launch(
    actor: string,
    launch: (begin: (vm: LaunchedVm) => Promise<void>) => Promise<LaunchedVm>,
    undo: (vm: LaunchedVm) => Promise<void>,
  ): Promise<LaunchedVm> {
    let change: Change = { actor, event: 'grant' };
    const id = newId();
    let vm: LaunchedVm;
    try {
      vm = await launch((begun) => {
        change = { ...change, vm: begun.hostname, grant: grantOf(begun), ...credentialsOf(begun) };
        return this.log.append({ ...change, id, outcome: 'begun' });
      });
    } catch (error) {
      await this.log.note({ ...change, id, outcome: 'failed', reason: reasonOf(error) });
      throw error;
    }
    try {
      this.reads.boot += vm.credentials.length;
      void this.log.note(...vm.credentials.map(({ name, secret }): AuditEntry =>
        ({ actor: ACTOR.vm, event: 'read', vm: vm.hostname, secret, outcome: 'ok', channel: 'boot', credential: name })));
      await this.log.append({ ...change, id, outcome: 'ok' });
      return vm;
    } catch (error) {
      await undo(vm);
      throw error;
    }
  }

  /** A command is about to run in a VM; the result puts its end on record. Of the command itself nothing is: its words may hold a value. */
  async exec(actor: string, vm: string): Promise<(end: ExecEnd) => Promise<void>> {
    const command = { actor, event: 'exec', vm, id: newId() } as const;
    await this.log.append({ ...command, outcome: 'begun' });
    return (end) => this.log.note({ ...command, ...end });
  }

  /** A VM is gone, or is not served any more. */
  deleted(actor: string, vm: string, reason?: string): Promise<void> {
    return this.log.note({ actor, event: 'delete', vm, outcome: 'ok', ...(reason === undefined ? {} : { reason }) });
  }

  /** A request that its sender may not make. */
  refused(actor: string, reason: string, rest: Pick<AuditEntry, 'request' | 'secret' | 'vm'>): void {
    count(this.apiRefusals, reason);
    void this.#refusals.note(actor, reason, { actor, event: 'refusal', outcome: 'refused', reason, ...rest });
  }

  /** What the live channels tell. */
  get witness(): Witness {
    return {
      read: (vm, items, version) => {
        this.reads.live += items.length;
        return this.#guests.read(vm, items, version);
      },
      refused: (vm, reason) => {
        count(this.guestRefusals, reason);
        this.#guests.refused(vm, reason);
      },
      pushed: (seconds) => this.pushes.observe(seconds),
      ended: (vm) => this.#guests.end(vm),
    };
  }

  /** Somebody changed a file of the store by hand; who, no file system tells. */
  changedByHand({ name, kind }: NameChange): void {
    void this.log.note({ actor: ACTOR.file, event: kind, secret: name, outcome: 'ok' });
  }

  /** Somebody did while no daemon ran; when, is not known either. */
  changedBefore({ name, kind }: NameChange): void {
    void this.log.note({ actor: ACTOR.outside, event: kind, secret: name, outcome: 'ok' });
  }

  daemon(event: 'start' | 'stop'): Promise<void> {
    return this.log.note({ actor: ACTOR.daemon, event, outcome: 'ok' });
  }

  async close(): Promise<void> {
    this.#guests.endAll();
    this.#refusals.endAll();
    await this.daemon('stop');
    await this.log.close();
  }
}

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

const newId = (): string => randomHex().slice(0, ID_DIGITS);

const grantOf = ({ grant }: LaunchedVm): NonNullable<AuditEntry['grant']> => (grant === 'all' ? 'all' : [...grant]);

function credentialsOf({ credentials, liveCredentials }: LaunchedVm): Pick<AuditEntry, 'credentials'> {
  const given = new Map([...credentials, ...liveCredentials].map(({ name, secret }) => [name, { name, secret }]));
  return given.size === 0 ? {} : { credentials: [...given.values()] };
}
