// Records on disk: `<daemon directory>/.slicer/vms/<hostname>/vm.json`, beside each VM's console log.
// A VM's directory appears with its record in it and goes as a whole, and a record is replaced by
// rename after fsync: a crash leaves an old record or a new one.
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SlicerError } from '../errors/slicer-error.ts';
import { GUEST_CID_MIN } from '../wire/ports.ts';
import { isHostname, parseNumbered } from './hostname.ts';
import { makePrivate } from './private-directory.ts';
import { decodeRecord, encodeRecord, type LaunchedRecord, type VmRecord } from './record.ts';

const RECORD = 'vm.json';
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

  /** The first write of a record: its directory must not exist. */
  async create(record: VmRecord): Promise<void> {
    const coming = join(this.path, COMING + record.hostname);
    await mkdir(coming, { mode: 0o700 });
    await writeDurably(join(coming, RECORD), encodeRecord(record));
    await rename(coming, this.of(record.hostname));
    await syncDirectory(this.path);
  }

  async replace(record: VmRecord): Promise<void> {
    const directory = this.of(record.hostname);
    const next = join(directory, `${RECORD}.new`);
    await writeDurably(next, encodeRecord(record));
    await rename(next, join(directory, RECORD));
    await syncDirectory(directory);
  }

  /** Removes record and console log. One that is not there is fine. */
  async remove(hostname: string): Promise<void> {
    const going = join(this.path, GOING + hostname);
    try {
      await rename(this.of(hostname), going);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await syncDirectory(this.path);
    await rm(going, { recursive: true });
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
    boot_id: '',
    processes: [],
  };
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
