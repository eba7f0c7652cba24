// Where each granted secret stands in one VM, from what its agent acknowledged and reported.
import { isGranted } from '../secret/grant.ts';
import { parseSecretName } from '../secret/name.ts';
import type { Generation } from '../wire/generation.ts';
import type { Report, ReportedError } from '../wire/protocol.ts';
import type { SecretDelivery } from './contract.ts';
import { grantedSecrets, type View } from './view.ts';

interface Acknowledgement {
  readonly counter: number;
  readonly atMs: number;
}

/** Acknowledgements are thinned out above this many. */
const ACKNOWLEDGEMENTS_MAX = 1024;

export class Deliveries {
  #epoch = '';
  /** By counter, ascending; the last one is what the guest holds. */
  #acknowledged: Acknowledgement[] = [];
  #errors: readonly ReportedError[] = [];
  #synced = false;

  /** Whether any generation was confirmed since the VM was launched or adopted. */
  get synced(): boolean {
    return this.#synced;
  }

  /** A new session may be a new boot: what the guest holds is unknown until it says so. */
  forget(): void {
    this.#acknowledged = [];
    this.#errors = [];
  }

  /** The guest holds this generation. One that the VM never should have held is ignored. */
  acknowledge(held: Generation, view: View, nowMs: number): boolean {
    const { epoch, counter } = view.generation;
    if (held.epoch !== epoch || held.counter > counter) return false;
    const last = this.#acknowledged.at(-1);
    if (last?.counter === held.counter && this.#epoch === epoch) return false;
    if (this.#epoch !== epoch || (last !== undefined && held.counter < last.counter)) this.#acknowledged = [];
    this.#epoch = epoch;
    this.#acknowledged.push({ counter: held.counter, atMs: nowMs });
    this.#synced = true;
    if (this.#acknowledged.length > ACKNOWLEDGEMENTS_MAX) this.#thinOut(view);
    return true;
  }

  /** Takes the place of the report before. Names outside the grant are the guest's invention: dropped. */
  report({ errors }: Report, { grant }: View): void {
    this.#errors = errors.filter(({ name }) => {
      const parsed = name === undefined ? undefined : parseSecretName(name);
      return name === undefined || (parsed !== undefined && isGranted(grant, parsed));
    });
  }

  /** Whether the guest holds all changes up to the store's `counter`, those outside its grant aside. */
  holds(counter: number, { snapshot, generation }: View): boolean {
    const last = this.#acknowledged.at(-1);
    if (last === undefined || this.#epoch !== generation.epoch || snapshot.counter < counter) return false;
    return last.counter >= Math.min(counter, generation.counter);
  }

  /** Each granted secret, and the faults that are none of theirs. */
  status({ snapshot, grant, generation }: View): { deliveries: SecretDelivery[]; errors: ReportedError[] } {
    const errors = new Map(this.#errors.map((error, index) => [error.name ?? index, error]));
    const isCurrentEpoch = this.#epoch === generation.epoch;
    const deliveries = grantedSecrets(snapshot, grant).map(({ name, version }): SecretDelivery => {
      const error = errors.get(name);
      errors.delete(name);
      if (error !== undefined) return { name, state: 'failed', error };
      const sinceMs = isCurrentEpoch ? this.#since(version) : undefined;
      return sinceMs === undefined ? { name, state: 'pending' } : { name, state: 'current', sinceMs };
    });
    return { deliveries, errors: [...errors.values()] };
  }

  /** When a generation with this version was first confirmed. */
  #since(version: number): number | undefined {
    let low = 0;
    let high = this.#acknowledged.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#acknowledged[middle] as Acknowledgement).counter < version) low = middle + 1;
      else high = middle;
    }
    return this.#acknowledged[low]?.atMs;
  }

  /** Keeps what some secret's `sinceMs` comes from, and the last one. */
  #thinOut({ snapshot, grant }: View): void {
    const needed = new Set(grantedSecrets(snapshot, grant).map(({ version }) => this.#since(version)));
    const last = this.#acknowledged.at(-1);
    this.#acknowledged = this.#acknowledged.filter((entry) => entry === last || needed.has(entry.atMs));
  }
}
