// Where each secret that one VM should hold stands, from what its agent acknowledged and reported.
import type { Report, ReportedError } from '../wire/protocol.ts';
import type { SecretName } from '../secret/name.ts';
import type { SecretDelivery } from './contract.ts';
import { isEntryOf } from './scope.ts';
import { itemsOf, type View } from './view.ts';

interface Acknowledgement {
  /** All that the source had up to this version, as far as it is in the VM's scope. */
  readonly version: number;
  readonly atMs: number;
}

/** Acknowledgements are thinned out when there are twice as many as were needed the last time, and this many more. */
const ACKNOWLEDGEMENTS_SPARE = 32;

export class Deliveries {
  /** By version, ascending; the last one is what the guest holds. */
  #acknowledged: Acknowledgement[] = [];
  #thinOutAbove = ACKNOWLEDGEMENTS_SPARE;
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

  /** The guest holds the generation of this version, one that it was sent. Whether that is news. */
  acknowledge(version: number, view: View, nowMs: number): boolean {
    const last = this.#acknowledged.at(-1);
    if (last?.version === version) return false;
    if (last !== undefined && version < last.version) this.#acknowledged = [];
    this.#acknowledged.push({ version, atMs: nowMs });
    this.#synced = true;
    if (this.#acknowledged.length > this.#thinOutAbove) this.#thinOut(view);
    return true;
  }

  /** Takes the place of the report before. Names outside the scope are the guest's invention: dropped. Whether there was none of them. */
  report({ errors }: Report, { scope }: View): boolean {
    this.#errors = errors.filter(({ name }) => name === undefined || isEntryOf(scope, name));
    return this.#errors.length === errors.length;
  }

  /** Whether the guest holds all changes up to the source's `counter`, those outside its scope aside. */
  holds(counter: number, { snapshot, version }: View): boolean {
    const last = this.#acknowledged.at(-1);
    if (last === undefined || snapshot.counter < counter) return false;
    return last.version >= Math.min(counter, version);
  }

  /** Each secret in each form, and the faults that are none of theirs. */
  status(view: View): { deliveries: SecretDelivery[]; errors: ReportedError[] } {
    const errors = new Map(this.#errors.map((error, index) => [error.name ?? index, error]));
    const deliveries = itemsOf(view).map(({ entry, secret, credential, version }): SecretDelivery => {
      const what = credential === undefined ? { name: secret } : { name: secret, credential };
      const error = errors.get(entry);
      errors.delete(entry);
      if (error !== undefined) return { ...what, state: 'failed', error };
      const sinceMs = this.#since(version);
      return sinceMs === undefined ? { ...what, state: 'pending' } : { ...what, state: 'current', sinceMs };
    });
    return { deliveries, errors: [...errors.values()] };
  }

  /** Of one secret, in all its forms. Asked of every VM at every step of a change: most have nothing to say. */
  faultsOf(name: SecretName, view: View): ReportedError[] {
    if (this.#errors.length === 0) return [];
    return this.status(view).deliveries.flatMap((delivery) => (delivery.name === name && delivery.error !== undefined ? [delivery.error] : []));
  }

  /** When a generation with this version was first confirmed. */
  #since(version: number): number | undefined {
    let low = 0;
    let high = this.#acknowledged.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#acknowledged[middle] as Acknowledgement).version < version) low = middle + 1;
      else high = middle;
    }
    return this.#acknowledged[low]?.atMs;
  }

  /** Keeps what some secret's `sinceMs` comes from, and the last one. */
  #thinOut(view: View): void {
    const needed = new Set(itemsOf(view).map(({ version }) => this.#since(version)));
    const last = this.#acknowledged.at(-1);
    this.#acknowledged = this.#acknowledged.filter((entry) => entry === last || needed.has(entry.atMs));
    this.#thinOutAbove = 2 * this.#acknowledged.length + ACKNOWLEDGEMENTS_SPARE;
  }
}
