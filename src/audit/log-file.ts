// The log's file. Guarantees: what is appended goes to the end of the file, whole lines in one write(2); a
// line that a crash cut short stays a line of its own; nobody but the owner can read a file that is made
// here; and a file that somebody renamed (logrotate) is let go of with the next line.
//
// Trusts whoever may write to its directory: root, or the user that Slicer runs as.
import { closeSync, constants, fdatasync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { shiftFiles } from './files.ts';

export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  /** The file is rotated before it gets larger. */
  readonly maxBytes: number;
  /** How many rotated files stay. */
  readonly keep: number;
}

interface Open {
  readonly descriptor: number;
  readonly dev: number;
  readonly ino: number;
  sizeBytes: number;
  /** The last line has no end: what was being written when a process, or the disk, ended. */
  isTorn: boolean;
}

const LINE_FEED = 0x0a;
const syncData = promisify(fdatasync);

export class LogFile {
  readonly #options: LogFileOptions;
  #open: Open | undefined;
  /** The fdatasync(2) under way, and the one for whatever came since. */
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;

  /** Throws the system call's error when the file can't be opened. */
  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#open = openFile(options.path);
  }

  /** Appends whole lines. Throws the system call's error; nothing of them is then in the file, or half a line. */
  append(bytes: Buffer): void {
    const open = this.#fileFor(bytes.byteLength);
    const whole = open.isTorn ? Buffer.concat([Buffer.of(LINE_FEED), bytes]) : bytes;
    let written = 0;
    try {
      // More than one only where the disk fills up, or a signal comes.
      while (written < whole.byteLength) written += writeSync(open.descriptor, whole, written);
      open.isTorn = false;
      open.sizeBytes += written;
    } catch (error) {
      if (written > 0) takeBack(open, written);
      throw error;
    }
  }

  /** Resolves when all that was appended before is on the disk. Rejects with the system call's error. */
  sync(): Promise<void> {
    this.#nextSync ??= (this.#syncing ?? Promise.resolve()).catch(() => undefined).then(() => {
      this.#syncing = this.#nextSync;
      this.#nextSync = undefined;
      return this.#open === undefined ? undefined : syncData(this.#open.descriptor);
    });
    return this.#nextSync;
  }

  async close(): Promise<void> {
    await this.sync().catch(() => undefined);
    this.#letGo();
  }

  #fileFor(sizeBytes: number): Open {
    if (this.#open !== undefined && !isAt(this.#open, this.#options.path)) this.#letGo();
    const isFull = this.#open !== undefined && this.#open.sizeBytes > 0 && this.#open.sizeBytes + sizeBytes > this.#options.maxBytes;
    if (isFull) {
      shiftFiles(this.#options.path, this.#options.keep);
      this.#letGo();
    }
    this.#open ??= openFile(this.#options.path);
    return this.#open;
  }

  /** What the file has is made durable first: those who wait for it will wait for another one's. */
  #letGo(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const close = (): void => closeSync(open.descriptor);
    try {
      fdatasyncSync(open.descriptor);
    } finally {
      if (this.#syncing === undefined) close();
      else void this.#syncing.then(close, close);
    }
  }
}

function openFile(path: string): Open {
  // Not blocking: somebody may have put a pipe there.
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const descriptor = openSync(path, flags, 0o600);
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw Object.assign(new Error('it is no file'), { code: 'ENOTSUP' });
    const last = Buffer.alloc(1);
    const isTorn = stats.size > 0 && readSync(descriptor, last, 0, 1, stats.size - 1) === 1 && last[0] !== LINE_FEED;
    // Its name must survive a crash as its lines do, whoever gave it to it.
    syncDirectory(dirname(path));
    return { descriptor, dev: stats.dev, ino: stats.ino, sizeBytes: stats.size, isTorn };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** What was written of lines that could not be written whole. Where it can't be taken back, the next line begins with a line feed. */
function takeBack(open: Open, written: number): void {
  try {
    ftruncateSync(open.descriptor, open.sizeBytes);
  } catch {
    open.sizeBytes += written;
    open.isTorn = true;
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function isAt({ dev, ino }: Open, path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats !== undefined && stats.dev === dev && stats.ino === ino;
}
