// The generations that one VM was sent lately. Their numbers are this VM's own, one for each time that
// something new was sent to it: whoever sees them learns nothing of the source, nor of other VMs.
import type { Generation } from '../wire/generation.ts';

/** Differences are made to this many generations; who holds another gets everything. */
const SENT_MAX = 8;

interface Sent {
  readonly generation: Generation;
  /** As a view has it. */
  readonly version: number;
}

export class Generations {
  readonly #epoch: string;
  /** Newest first. */
  #sent: readonly Sent[] = [];

  /** `epoch`: 16 hexadecimal digits that no VM was served with before, so that no tag of another time fits. */
  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  /** The generation of what is sent now, a new one when the version is. */
  of(version: number): Generation {
    const [newest] = this.#sent;
    if (newest?.version === version) return newest.generation;
    const generation = { epoch: this.#epoch, counter: (newest?.generation.counter ?? 0) + 1 };
    this.#sent = [{ generation, version }, ...this.#sent].slice(0, SENT_MAX);
    return generation;
  }

  /** The version that the guest has when it holds this generation; undefined for one that it was not sent lately. */
  versionOf({ epoch, counter }: Generation): number | undefined {
    if (epoch !== this.#epoch) return undefined;
    return this.#sent.find(({ generation }) => generation.counter === counter)?.version;
  }
}
