// Reads a log, its rotated files first. Guarantees: every whole line that was there comes once, in order, and
// when it follows so does every later one, across rotation; what is no record is passed over. It needs nothing
// of the writer but its files, so that a log can be read where no daemon runs.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { AuditRecord } from '../api/audit.ts';
import { findFiles, type FoundFile } from './files.ts';
import { parseRecord } from './record.ts';

export interface AuditFilter {
  readonly vm?: string | undefined;
  /** Records of this secret, and grants that include it. */
  readonly secret?: string | undefined;
  /** Milliseconds since 1970: only what is not older. */
  readonly sinceMs?: number | undefined;
}

export interface ReadOptions {
  readonly filter: AuditFilter;
  /** Resolves when there may be more to read; absent: it ends with the last line there is. */
  readonly more?: () => Promise<void>;
  /** Ends the iteration at the next line. */
  readonly signal?: AbortSignal;
}

const CHUNK_BYTES = 64 * 1024;
/** The longest record is a grant that names every secret. */
const LINE_MAX_BYTES = 4 * 1024 * 1024;
const LINE_FEED = 0x0a;

/** Throws not_found, and forbidden when a file can't be read. */
export async function* readAudit(path: string, { filter, more, signal }: ReadOptions): AsyncGenerator<AuditRecord> {
  const accepts = acceptorOf(filter);
  let [file] = filesOf(path).filter(({ mtimeMs }) => filter.sinceMs === undefined || mtimeMs >= filter.sinceMs);
  // All that is there is older; what is still to come is not.
  file ??= filesOf(path).at(-1);
  if (file === undefined) throw fail('not_found', `there is no audit log "${path}"`);
  while (file !== undefined) {
    const handle = await openFile(file);
    try {
      const lines = new Lines(handle);
      for (;;) {
        for await (const line of lines.rest()) {
          if (signal?.aborted === true) return;
          const record = accepts(line);
          if (record !== undefined) yield record;
        }
        const later = laterThan(await inodeOf(handle), path);
        if (later !== 'newest') {
          // It was written to until it was rotated.
          for await (const line of lines.rest()) {
            const record = accepts(line);
            if (record !== undefined) yield record;
          }
          file = later;
          break;
        }
        if (more === undefined || signal?.aborted === true) return;
        await more();
      }
    } finally {
      await handle.close();
    }
  }
}

/** The record of a line that the filter lets through. Most lines are told apart before they are parsed. */
function acceptorOf({ vm, secret, sinceMs }: AuditFilter): (line: string) => AuditRecord | undefined {
  return (line) => {
    if (vm !== undefined && !line.includes(`"${vm}"`)) return undefined;
    if (secret !== undefined && !line.includes(`"${secret}"`) && !line.includes('"grant":"all"')) return undefined;
    const record = parseRecord(line);
    if (record === undefined || (vm !== undefined && record.vm !== vm)) return undefined;
    if (secret !== undefined && !concerns(record, secret)) return undefined;
    return sinceMs !== undefined && Date.parse(record.time) < sinceMs ? undefined : record;
  };
}

function concerns({ secret: named, grant, credentials }: AuditRecord, secret: string): boolean {
  return named === secret || grant === 'all' || grant?.includes(secret) === true || credentials?.some((credential) => credential.secret === secret) === true;
}

/** The lines of a file from where it was read last; a line without an end waits for it. */
class Lines {
  readonly #handle: FileHandle;
  #rest = Buffer.alloc(0);

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async *rest(): AsyncGenerator<string> {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await this.#handle.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return;
      const bytes = Buffer.concat([this.#rest, chunk.subarray(0, bytesRead)]);
      let start = 0;
      for (let end = bytes.indexOf(LINE_FEED, start); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
        yield bytes.toString('utf8', start, end);
        start = end + 1;
      }
      // No record is as long; the rest of such a line is none either.
      this.#rest = bytes.byteLength - start > LINE_MAX_BYTES ? Buffer.alloc(0) : bytes.subarray(start);
    }
  }
}

/** What comes after the file with this inode; the oldest when it is not among them any more. */
function laterThan(ino: number, path: string): FoundFile | 'newest' | undefined {
  const files = filesOf(path);
  const index = files.findIndex((file) => file.ino === ino);
  if (index === -1) return files[0] ?? 'newest';
  return files[index + 1] ?? 'newest';
}

const inodeOf = async (handle: FileHandle): Promise<number> => (await handle.stat()).ino;

function filesOf(path: string): FoundFile[] {
  try {
    return findFiles(path);
  } catch (error) {
    throw notReadable(path, error);
  }
}

/** A FIFO would hold up who opens it, and a device may never end. */
async function openFile({ path }: FoundFile): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw notReadable(path, error);
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw fail('forbidden', `the audit log "${path}" is not a file`);
}

function notReadable(path: string, error: unknown): SlicerError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return fail('not_found', `there is no audit log "${path}"`);
  return fail('forbidden', `the audit log "${path}" can't be read (${code})`);
}
