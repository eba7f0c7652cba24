// Records on disk: `<daemon directory>/.slicer/vms/<hostname>/vm.json`, beside each VM's console log.
// A VM's directory appears with its record in it and goes as a whole, and a record is replaced by
// rename after fsync: a crash leaves an old record or a new one.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, fileRemedy, isFull } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { GUEST_CID_MIN } from '../wire/ports.ts';
import { isHostname, parseNumbered } from './hostname.ts';
import { makePrivate } from './private-directory.ts';
import { decodeRecord, encodeRecord, type LaunchedRecord, type VmRecord } from './record.ts';

const RECORD = 'vm.json';
/** A record before it takes the other's place. */
const NEXT = `${RECORD}.new`;
/** Names that no host name can have: directories on their way in and out. */
const COMING = '.coming-';
const GOING = '.going-';

export interface FoundRecord {
  readonly hostname: string;
  /** Absent when the record can't be read; then `damage` says why. */
  readonly record?: VmRecord;
  readonly damage?: string;
  readonly modifiedAtMs: number;
}

export class RecordDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the directory where it is missing, and clears what a crash left half-made or half-removed. Throws
   * store_not_private.
   */
  static async open(daemonDirectory: string, uid: number): Promise<RecordDirectory> {
    const path = join(daemonDirectory, '.slicer', 'vms');
    // A record says what is ended and removed: nobody else may have written one.
    await makePrivate(dirname(path), uid);
    await makePrivate(path, uid);
    for (const entry of await readdir(path)) {
      if (entry.startsWith(COMING) || entry.startsWith(GOING)) await rm(join(path, entry), { recursive: true });
      else if (isHostname(entry)) await rm(join(path, entry, NEXT), { force: true });
    }
    return new RecordDirectory(path);
  }

  of(hostname: string): string {
    return join(this.path, hostname);
  }

  async readAll(): Promise<readonly FoundRecord[]> {
    const hostnames = (await readdir(this.path)).filter(isHostname);
    return Promise.all(hostnames.map(async (hostname): Promise<FoundRecord> => {
      const file = join(this.of(hostname), RECORD);
      const modifiedAtMs = await stat(this.of(hostname)).then((stats) => Math.floor(stats.mtimeMs));
      try {
        return { hostname, modifiedAtMs, record: decodeRecord(await readFile(file, 'utf8'), hostname) };
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const damage = error instanceof SlicerError ? message : `the record of vm "${hostname}" can't be read: ${code}`;
        return { hostname, modifiedAtMs, damage };
      }
    }));
  }

  /** The first write of a record: its directory must not exist. Throws store_not_writable, store_full. */
  async create(record: VmRecord): Promise<void> {
    const coming = join(this.path, COMING + record.hostname);
    const place = this.of(record.hostname);
    let isInPlace = false;
    try {
      await rm(coming, { recursive: true, force: true });
      await mkdir(coming, { mode: 0o700 });
      await writeDurably(join(coming, RECORD), encodeRecord(record));
      await syncDirectory(coming);
      await rename(coming, place);
      isInPlace = true;
      await syncDirectory(this.path);
    } catch (error) {
      // A full disk, say: the next launch of this name must find the place free.
      await rm(isInPlace ? place : coming, { recursive: true, force: true }).catch(() => undefined);
      throw notWritten(place, error);
    }
  }

  /** Throws store_not_writable, store_full. */
  async replace(record: VmRecord): Promise<void> {
    const directory = this.of(record.hostname);
    const next = join(directory, NEXT);
    try {
      await writeDurably(next, encodeRecord(record));
      await rename(next, join(directory, RECORD));
    } catch (error) {
      throw notWritten(directory, error);
    }
    await syncDirectory(directory).catch((error: unknown) => {
      throw notDurable(`the record in "${directory}"`, error, directory);
    });
  }

  /** Removes record and console log. One that is not there is fine. Throws store_not_writable, store_full. */
  async remove(hostname: string): Promise<void> {
    // Of one that could not be removed something may be there.
    const going = join(this.path, `${GOING}${hostname}-${randomUUID()}`);
    try {
      await rename(this.of(hostname), going);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw notWritten(this.of(hostname), error);
    }
    await syncDirectory(this.path).catch((error: unknown) => {
      throw notDurable(`the removal of vm "${hostname}"`, error, this.path);
    });
    // What stays of it is in nobody's way, and goes at the next start.
    await rm(going, { recursive: true }).catch(() => undefined);
  }
}

/** Stands for a VM about which only the name is sure: it is shown as failed, is served nothing, and can be deleted. */
export function recordOfDamaged(found: FoundRecord, runtimeDirectories: string): LaunchedRecord {
  return {
    version: 1,
    kind: 'launched',
    hostname: found.hostname,
    status: 'failed',
    reason: found.damage,
    group: parseNumbered(found.hostname)?.group ?? found.hostname,
    grant: [],
    tags: [],
    created_at_ms: found.modifiedAtMs,
    cpus: 0,
    ram_bytes: 0,
    stop_grace_ms: 0,
    vmm: { hypervisor: 'qemu', machine: 'q35' },
    credentials: [],
    live_credentials: [],
    userdata: { state: 'none' },
    guest_cid: GUEST_CID_MIN,
    runtime_directory: join(runtimeDirectories, found.hostname),
    lent: [],
    boot_id: '',
    processes: [],
  };
}

function notWritten(directory: string, error: unknown): SlicerError {
  const errno = errnoOf(error);
  return fail(isFull(errno) ? 'store_full' : 'store_not_writable', `the record in "${directory}" can't be written: ${errno}`,
    fileRemedy(errno, dirname(directory)));
}

function notDurable(what: string, error: unknown, path: string): SlicerError {
  return fail('store_not_writable', `${what} is made, but a power cut could undo it: ${errnoOf(error)}`, fileRemedy(errnoOf(error), path));
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
