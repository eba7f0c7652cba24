// Brings the secrets directory to what the host sent, so that a reader sees an old value or a new one,
// never a mix or a short file, and a failure leaves the old set whole:
//
//   1. Clear what an interrupted change left in staging: once when the agent starts, and after a failure.
//   2. Stage each file under its name: bytes, then owner, then mode. Drop it again when the directory
//      already holds exactly that, so that unchanged files keep their inode and times.
//   3. Once the archive is complete, check that nothing stands in the way of any rename.
//   4. Write down the names that will be there.
//   5. Rename the staged files into place, one by one, inside a directory that stays.
//   6. Remove what is no longer granted, if the agent put it there.
//   7. Write down what is held.
//
// A crash between two steps is repaired by the next sync, which does the same again.
import * as os from 'os';
import * as sys from 'sys';
import { parseSecretName } from '../src/secret/name.ts';
import { WHITEOUT_PREFIX } from '../src/wire/protocol.ts';
import { TarReader, type TarEntry } from '../src/wire/tar.ts';
import { Fault, toFault } from './fault.ts';
import type { Holdings } from './holdings.ts';
import type { SecretsDirectory } from './secrets-directory.ts';

export interface Changes {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export const NO_CHANGES: Changes = { added: [], changed: [], removed: [] };

const PRIMITIVES = { checksum: sys.tarChecksum, text: sys.latin1 };

/** One incoming archive: `full` is all that the guest may hold, `delta` what changed. */
export class SecretsWriter {
  readonly #directory: SecretsDirectory;
  readonly #holdings: Holdings;
  readonly #kind: 'full' | 'delta';
  readonly #reader: TarReader;
  readonly #seen = new Set<string>();
  /** Names in the order of the archive, and for each its print: what tells later that nobody touched it. */
  readonly #names: string[] = [];
  #prints = new Uint8Array(16 * sys.PRINT_BYTES);
  /** Indexes of the names that are not in place yet. */
  readonly #staged: number[] = [];
  readonly #whiteouts: string[] = [];
  /** The entry that is being staged; undefined for a whiteout. */
  #entry: TarEntry | undefined;
  #fd = -1;
  /** The secret that a fault is about. */
  #current: string | undefined;

  constructor(directory: SecretsDirectory, holdings: Holdings, kind: 'full' | 'delta') {
    this.#directory = directory;
    this.#holdings = holdings;
    this.#kind = kind;
    this.#reader = new TarReader({
      onEntry: (entry) => this.#beginEntry(entry),
      onData: (chunk) => this.#writeEntry(chunk),
      onEntryEnd: () => this.#endEntry(),
    }, PRIMITIVES);
  }

  /** Throws a `Fault`; then `abort()` must follow. */
  push(chunk: Uint8Array): void {
    this.#blaming(() => this.#reader.push(chunk));
  }

  abort(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = -1;
    clearStaging(this.#directory); // 1.
  }

  /** Throws a `Fault`; up to the first rename the old set is whole. */
  commit(): Changes {
    return this.#blaming(() => this.#commit());
  }

  #commit(): Changes {
    const { fd, stagingFd } = this.#directory;
    this.#reader.end();
    const staged = this.#staged.map((index) => this.#names[index] as string);
    for (const name of staged) { // 3.
      if (sys.isDirectory(fd, name)) throw new Fault('EISDIR', 'a directory stands where the secret belongs', name);
    }
    const removed = this.#kind === 'full'
      ? this.#holdings.names.filter((name) => !this.#seen.has(name))
      : this.#whiteouts.filter((name) => this.#holdings.has(name));
    const added = staged.filter((name) => !this.#holdings.has(name));
    const changed = staged.filter((name) => this.#holdings.has(name));
    this.#holdings.announce(added); // 4.
    for (const name of staged) sys.renameFile(stagingFd, fd, (this.#current = name)); // 5.
    for (const name of removed) sys.removeFile(fd, (this.#current = name)); // 6.
    this.#current = undefined;
    for (const index of this.#staged) sys.confirmPrint(fd, this.#names[index] as string, this.#prints, index);
    this.#holdings.settle(this.#names, this.#prints, removed); // 7.
    return { added, changed, removed };
  }

  /** What fails in `step` is the fault of the secret at hand. */
  #blaming<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw toFault(error, this.#current);
    }
  }

  #beginEntry(entry: TarEntry): void {
    const whiteout = this.#kind === 'delta' && entry.name.startsWith(WHITEOUT_PREFIX);
    const name = parseSecretName(whiteout ? entry.name.slice(WHITEOUT_PREFIX.length) : entry.name);
    if (name === undefined) throw new Fault('protocol', 'the host sent a name that no secret can have');
    if (this.#seen.has(name)) throw new Fault('protocol', 'the host sent a secret twice', name);
    this.#seen.add(name);
    if (whiteout) {
      this.#whiteouts.push(name);
      return;
    }
    this.#entry = entry;
    this.#current = name;
    this.#fd = sys.createFile(this.#directory.stagingFd, name);
  }

  #writeEntry(chunk: Uint8Array): void {
    if (this.#entry === undefined) return;
    for (let sent = 0; sent < chunk.byteLength;) sent += sys.write(this.#fd, chunk, sent, chunk.byteLength);
  }

  #endEntry(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    const { fd, stagingFd } = this.#directory;
    const staged = this.#fd;
    this.#entry = undefined;
    this.#fd = -1;
    sys.finishFile(staged, entry.mode, entry.uid, entry.gid);
    const index = this.#names.push(entry.name) - 1;
    this.#makeRoomForPrint(index);
    const held = this.#holdings.has(entry.name);
    // Before the comparison: whatever somebody alters from here on shows in the print.
    if (held) sys.takePrint(fd, entry.name, this.#prints, index);
    if (held && sys.sameFile(stagingFd, fd, entry.name)) { // 2.
      sys.removeFile(stagingFd, entry.name);
    } else {
      sys.takePrint(stagingFd, entry.name, this.#prints, index);
      this.#staged.push(index);
    }
    this.#current = undefined;
  }

  #makeRoomForPrint(index: number): void {
    if ((index + 1) * sys.PRINT_BYTES <= this.#prints.byteLength) return;
    const larger = new Uint8Array(2 * this.#prints.byteLength);
    larger.set(this.#prints);
    this.#prints = larger;
  }
}

export function clearStaging(directory: SecretsDirectory): void {
  const [names] = os.readdir(`${directory.statePath}/staging`);
  for (const name of names) {
    if (name !== '.' && name !== '..') sys.removeFile(directory.stagingFd, name);
  }
}
