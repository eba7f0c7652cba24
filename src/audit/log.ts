// The audit log. Guarantees: what `append` was given is on the disk when it resolves, in the order in which
// it was given, or it throws; what `note` was given is written before this process does anything else, with
// all that was noted meanwhile, or counted: the next line that can be written says how many are missing.
//
// A change is recorded twice, as begun and as ended, so that nothing is acknowledged without a record, and
// nothing is changed without one however this process ends. See docs/architecture.md.
import { dirname } from 'node:path';
import { errnoOf, fileRemedy, shellQuote } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { LogFile, type LogFileOptions } from './log-file.ts';
import { ACTOR, formatReads, formatRecord, type AuditEntry, type ReadForm } from './record.ts';

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
  /** As `note`, that the VM is sent these; of an array that comes again for other VMs, and never changes, cheaply. */
  noteReads(vm: string, reads: readonly ReadForm[]): Promise<void>;
  /** Calls `listener` when there are new lines in the file. Returns how to stop. */
  onWritten(listener: () => void): () => void;
  counts(): AuditCounts;
  readonly path: string;
  /** Writes what waits; nothing can be recorded afterwards. */
  close(): Promise<void>;
}

/** Lines wait here until they are written; when it is full they are at once. */
const BATCH_BYTES = 256 * 1024;
/** Of a unit of a string, in UTF-8. */
const UNIT_MAX_BYTES = 3;

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
  /** One for all time: thousands of records come at once, and make little garbage. */
  readonly #batch = Buffer.allocUnsafe(BATCH_BYTES);
  #batchBytes = 0;
  #count = 0;
  #formatted = { atMs: Number.NaN, time: '' };
  /** Resolves when all that was noted is written, or can't be. */
  #turn: Promise<void> | undefined;
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
    const error = this.#gather(formatRecord(this.#time(), entry), 1) ?? this.#flush();
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
    const time = this.#time();
    return this.#note(entries.map((entry) => formatRecord(time, entry)).join(''), entries.length);
  }

  noteReads(vm: string, reads: readonly ReadForm[]): Promise<void> {
    return this.#note(formatReads(this.#time(), vm, reads), reads.length);
  }

  #note(lines: string, count: number): Promise<void> {
    this.#gather(lines, count);
    // After the promises that are settled by now, before the next event: a change that wakes thousands of VMs is one turn.
    this.#turn ??= new Promise((resolve) => process.nextTick(() => {
      this.#flush();
      this.#turn = undefined;
      resolve();
    }));
    return this.#turn;
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

  #time(): string {
    const atMs = this.#options.nowMs();
    if (atMs !== this.#formatted.atMs) this.#formatted = { atMs, time: new Date(atMs).toISOString() };
    return this.#formatted.time;
  }

  /** Returns why the lines could not be written, where they are too long to wait. */
  #gather(lines: string, count: number): unknown {
    const maxBytes = lines.length * UNIT_MAX_BYTES;
    if (maxBytes > BATCH_BYTES - this.#batchBytes) this.#flush();
    if (maxBytes > BATCH_BYTES) return this.#write(Buffer.from(lines), count);
    this.#batchBytes += this.#batch.write(lines, this.#batchBytes);
    this.#count += count;
    return undefined;
  }

  /** Writes what waits. Returns why it could not. */
  #flush(): unknown {
    const [bytes, count] = [this.#batch.subarray(0, this.#batchBytes), this.#count];
    this.#batchBytes = 0;
    this.#count = 0;
    return count > 0 ? this.#write(bytes, count) : undefined;
  }

  /** What can't be written is dropped and counted: a guest must not fill the memory instead. */
  #write(lines: Buffer, count: number): unknown {
    try {
      this.#file.append(this.#untold > 0 ? Buffer.concat([this.#gap(), lines]) : lines);
    } catch (error) {
      this.#lost += count;
      this.#untold += count;
      this.#setWritable(false, errnoOf(error));
      return error;
    }
    this.#written += count + Number(this.#untold > 0);
    this.#untold = 0;
    this.#setWritable(true, '');
    for (const listener of [...this.#listeners]) listener();
    return undefined;
  }

  #gap(): Buffer {
    return Buffer.from(formatRecord(this.#time(), {
      actor: ACTOR.daemon, event: 'gap', outcome: 'failed', reason: 'audit_not_writable', suppressed: this.#untold,
    }));
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
  if (errno === 'ENOENT') return `mkdir -p ${shellQuote(dirname(path))}`;
  // The file itself may not be there.
  const place = errno === 'EACCES' || errno === 'EPERM' ? path : dirname(path);
  return fileRemedy(errno, place) ?? `ls -ld ${path}`;
}
