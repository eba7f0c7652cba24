// The audit log. Guarantees: what `append` was given is on the disk when it resolves, in the order in which
// it was given, or it throws; what `note` was given is written with the rest of the same turn of the event
// loop, or counted: the next line that can be written says how many are missing.
//
// A change is recorded twice, as begun and as ended, so that nothing is acknowledged without a record, and
// nothing is changed without one however this process ends. See docs/architecture.md.
import { dirname } from 'node:path';
import { errnoOf, fileRemedy } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { LogFile, type LogFileOptions } from './log-file.ts';
import { ACTOR, formatRecord, type AuditEntry } from './record.ts';

export interface AuditLogOptions extends LogFileOptions {
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** The log can't be written, or can again. */
  readonly onWritable: (isWritable: boolean, code: string) => void;
}

export interface AuditCounts {
  /** Records in the file since this process began. */
  readonly written: number;
  /** Those that could not be written. */
  readonly lost: number;
  readonly isWritable: boolean;
}

export interface AuditLog {
  /** Resolves when the record is durable. Throws audit_not_writable. */
  append(entry: AuditEntry): Promise<void>;
  /** Resolves when the records were written, or could not be. Never rejects. */
  note(...entries: readonly AuditEntry[]): Promise<void>;
  /** Calls `listener` when there are new lines in the file. Returns how to stop. */
  onWritten(listener: () => void): () => void;
  counts(): AuditCounts;
  readonly path: string;
  /** Writes what waits; nothing can be recorded afterwards. */
  close(): Promise<void>;
}

/** Lines that wait are written at once when they are this much, so that a turn of the loop can't gather any amount. */
const BATCH_MAX_LENGTH = 1024 * 1024;

/** Throws audit_not_writable. */
export function openAuditLog(options: AuditLogOptions): AuditLog {
  try {
    return new OpenAuditLog(options, new LogFile(options));
  } catch (error) {
    throw notWritable(options.path, error);
  }
}

class OpenAuditLog implements AuditLog {
  readonly path: string;
  readonly #options: AuditLogOptions;
  readonly #file: LogFile;
  readonly #listeners = new Set<() => void>();
  #lines = '';
  #count = 0;
  #batchEnd: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #written = 0;
  #lost = 0;
  /** Lost ones that no line tells of. */
  #untold = 0;
  #isWritable = true;

  constructor(options: AuditLogOptions, file: LogFile) {
    this.path = options.path;
    this.#options = options;
    this.#file = file;
  }

  async append(entry: AuditEntry): Promise<void> {
    this.#gather([entry]);
    const error = this.#flush();
    if (error === undefined) {
      try {
        return await this.#file.sync();
      } catch (failure) {
        throw notWritable(this.path, failure);
      }
    }
    throw notWritable(this.path, error);
  }

  note(...entries: readonly AuditEntry[]): Promise<void> {
    this.#gather(entries);
    if (this.#lines.length > BATCH_MAX_LENGTH) this.#flush();
    if (this.#count === 0) return Promise.resolve();
    if (this.#batchEnd === undefined) {
      let resolve: () => void = () => undefined;
      const promise = new Promise<void>((settle) => (resolve = settle));
      this.#batchEnd = { promise, resolve };
      setImmediate(() => this.#flush());
    }
    return this.#batchEnd.promise;
  }

  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  counts(): AuditCounts {
    return { written: this.#written, lost: this.#lost, isWritable: this.#isWritable };
  }

  async close(): Promise<void> {
    this.#flush();
    this.#listeners.clear();
    await this.#file.close();
  }

  #gather(entries: readonly AuditEntry[]): void {
    const time = new Date(this.#options.nowMs()).toISOString();
    for (const entry of entries) this.#lines += formatRecord(time, entry);
    this.#count += entries.length;
  }

  /** Writes what waits. What can't be written is dropped and counted: a guest must not fill the memory instead. */
  #flush(): unknown {
    const [lines, count, batchEnd] = [this.#lines, this.#count, this.#batchEnd];
    this.#lines = '';
    this.#count = 0;
    this.#batchEnd = undefined;
    let failure: unknown;
    if (count > 0) {
      try {
        this.#file.append(this.#gap() + lines);
        this.#written += count + Number(this.#untold > 0);
        this.#untold = 0;
        this.#setWritable(true, '');
      } catch (error) {
        failure = error;
        this.#lost += count;
        this.#untold += count;
        this.#setWritable(false, errnoOf(error));
      }
    }
    batchEnd?.resolve();
    if (count > 0 && failure === undefined) for (const listener of [...this.#listeners]) listener();
    return failure;
  }

  #gap(): string {
    if (this.#untold === 0) return '';
    return formatRecord(new Date(this.#options.nowMs()).toISOString(), {
      actor: ACTOR.daemon, event: 'gap', outcome: 'failed', reason: 'audit_not_writable', suppressed: this.#untold,
    });
  }

  #setWritable(isWritable: boolean, code: string): void {
    if (this.#isWritable === isWritable) return;
    this.#isWritable = isWritable;
    this.#options.onWritable(isWritable, code);
  }
}

function notWritable(path: string, error: unknown): SlicerError {
  const code = errnoOf(error);
  return fail('audit_not_writable', `the audit log ${path} can't be written (${code}): nothing is changed without a record`, hintFor(path, code));
}

function hintFor(path: string, errno: string): string {
  if (errno === 'ENOENT') return `mkdir -p ${dirname(path)}`;
  // The file itself may not be there.
  const place = errno === 'EACCES' || errno === 'EPERM' ? path : dirname(path);
  return fileRemedy(errno, place) ?? `ls -ld ${path}`;
}
