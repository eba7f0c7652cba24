// Records that somebody who is not trusted can cause as often as he likes. Guarantees: a source writes no
// faster than its bucket fills; what is left out is counted, and the count is on record once there is room:
// a record with `suppressed: N` stands for itself and N more of its source and key.
import type { AuditLog } from './log.ts';
import type { AuditEntry } from './record.ts';

export interface Bucket {
  /** 0 when there was a token, which is taken; else the milliseconds until there is one. */
  take(): number;
}

interface Suppressed {
  /** The latest. */
  entry: AuditEntry;
  count: number;
}

interface Source {
  readonly bucket: Bucket;
  /** By key, the one that waits longest first. */
  readonly waiting: Map<string, Suppressed>;
  timer: NodeJS.Timeout | undefined;
}

export class LimitedRecords {
  readonly #log: Pick<AuditLog, 'note'>;
  readonly #newBucket: () => Bucket;
  readonly #sources = new Map<string, Source>();
  #suppressed = 0;

  constructor(log: Pick<AuditLog, 'note'>, newBucket: () => Bucket) {
    this.#log = log;
    this.#newBucket = newBucket;
  }

  /** How many got no record of their own. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** `key`: one of a few words of ours, since each is counted by itself. Resolves when the record was written, at once when it has to wait. */
  note(name: string, key: string, entry: AuditEntry): Promise<void> {
    const source = this.#sourceOf(name);
    const waitMs = source.waiting.size > 0 ? undefined : source.bucket.take();
    if (waitMs === 0) return this.#log.note(entry);
    const same = source.waiting.get(key);
    if (same === undefined) source.waiting.set(key, { entry, count: 1 });
    else {
      same.entry = entry;
      same.count += 1;
      this.#suppressed += 1;
    }
    if (waitMs !== undefined) this.#wait(source, waitMs);
    return Promise.resolve();
  }

  /** Forgets the source, whose counts are put on record now. */
  end(name: string): void {
    const source = this.#sources.get(name);
    if (source === undefined) return;
    this.#sources.delete(name);
    clearTimeout(source.timer);
    for (const key of [...source.waiting.keys()]) this.#write(source, key);
  }

  endAll(): void {
    for (const name of [...this.#sources.keys()]) this.end(name);
  }

  #sourceOf(name: string): Source {
    let source = this.#sources.get(name);
    if (source === undefined) this.#sources.set(name, (source = { bucket: this.#newBucket(), waiting: new Map(), timer: undefined }));
    return source;
  }

  #wait(source: Source, waitMs: number): void {
    source.timer = setTimeout(() => {
      source.timer = undefined;
      for (const key of [...source.waiting.keys()]) {
        const againMs = source.bucket.take();
        if (againMs > 0) return this.#wait(source, againMs);
        this.#write(source, key);
      }
    }, waitMs).unref();
  }

  #write(source: Source, key: string): void {
    const { entry, count } = source.waiting.get(key) as Suppressed;
    source.waiting.delete(key);
    void this.#log.note(count === 1 ? entry : { ...entry, suppressed: count - 1 });
  }
}
