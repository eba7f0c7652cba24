// How often something took how long. Buckets are cumulative, as Prometheus has them.
import type { Family, Sample } from './prometheus-text.ts';

export class Histogram {
  /** Ascending; one more bucket takes what is above all. */
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const index = this.#bounds.findIndex((bound) => value <= bound);
    const bucket = index === -1 ? this.#bounds.length : index;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  family(name: string, help: string): Family {
    let count = 0;
    const buckets = [...this.#bounds, Infinity].map((bound, index): Sample => {
      count += this.#counts[index] as number;
      return { suffix: '_bucket', labels: { le: bound === Infinity ? '+Inf' : String(bound) }, value: count };
    });
    return { name, type: 'histogram', help, samples: [...buckets, { suffix: '_sum', value: this.#sum }, { suffix: '_count', value: count }] };
  }
}
