// Brings one directory to what the host sent, so that a reader sees an old value or a new one, never a mix
// or a short file, and a failure leaves the old set whole:
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
import * as sys from 'sys';
import { Fault } from './fault.ts';
import type { Place } from './places.ts';
import { clearStaging } from './secrets-directory.ts';

export interface Changes {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** `full`: the archive is all that the guest may hold; `delta`: what changed. */
export type ArchiveKind = 'full' | 'delta';

export class PlaceWriter {
  readonly #place: Place;
  readonly #kind: ArchiveKind;
  readonly #seen = new Set<string>();
  /** Names in the order of the archive, and for each its print: what tells later that nobody touched it. */
  readonly #names: string[] = [];
  #prints = new Uint8Array(16 * sys.PRINT_BYTES);
  /** Indexes of the names that are not in place yet. */
  readonly #staged: number[] = [];
  readonly #whiteouts: string[] = [];
  #fd = -1;
  #current: string | undefined;

  constructor(place: Place, kind: ArchiveKind) {
    this.#place = place;
    this.#kind = kind;
  }

  /** The name that a fault is about. */
  get current(): string | undefined {
    return this.#current;
  }

  /** The name is gone. */
  whiteOut(name: string): void {
    this.#see(name);
    this.#whiteouts.push(name);
    this.#current = undefined;
  }

  /** Begins to stage a file. */
  begin(name: string): void {
    this.#see(name);
    this.#fd = sys.createFile(this.#place.directory.stagingFd, name);
  }

  write(chunk: Uint8Array): void {
    for (let sent = 0; sent < chunk.byteLength;) sent += sys.write(this.#fd, chunk, sent, chunk.byteLength);
  }

  end({ mode, uid, gid }: Attributes): void {
    const { directory: { fd, stagingFd }, holdings } = this.#place;
    const name = this.#current as string;
    const staged = this.#fd;
    this.#fd = -1;
    sys.finishFile(staged, mode, uid, gid);
    const index = this.#names.push(name) - 1;
    this.#makeRoomForPrint(index);
    const held = holdings.has(name);
    // Before the comparison: whatever somebody alters from here on shows in the print.
    if (held) sys.takePrint(fd, name, this.#prints, index);
    if (held && sys.sameFile(stagingFd, fd, name)) { // 2.
      sys.removeFile(stagingFd, name);
    } else {
      sys.takePrint(stagingFd, name, this.#prints, index);
      this.#staged.push(index);
    }
    this.#current = undefined;
  }

  /** Throws where a staged file can't go into place. */
  check(): void {
    for (const name of this.#stagedNames()) { // 3.
      this.#current = name;
      if (sys.isDirectory(this.#place.directory.fd, name)) throw new Fault('EISDIR', 'a directory stands where the secret belongs');
    }
    this.#current = undefined;
  }

  /** Throws what fails; up to the first rename the old set is whole. */
  apply(): Changes {
    const { directory: { fd, stagingFd }, holdings } = this.#place;
    const staged = this.#stagedNames();
    const removed = this.#kind === 'full'
      ? holdings.names.filter((name) => !this.#seen.has(name))
      : this.#whiteouts.filter((name) => holdings.has(name));
    const added = staged.filter((name) => !holdings.has(name));
    const changed = staged.filter((name) => holdings.has(name));
    holdings.announce(added); // 4.
    for (const name of staged) sys.renameFile(stagingFd, fd, (this.#current = name)); // 5.
    for (const name of removed) sys.removeFile(fd, (this.#current = name)); // 6.
    this.#current = undefined;
    for (const index of this.#staged) sys.confirmPrint(fd, this.#names[index] as string, this.#prints, index);
    holdings.settle(this.#names, this.#prints, removed); // 7.
    return { added, changed, removed };
  }

  abort(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
    this.#fd = -1;
    clearStaging(this.#place.directory); // 1.
  }

  #see(name: string): void {
    this.#current = name;
    if (this.#seen.has(name)) throw new Fault('protocol', 'the host sent a secret twice');
    this.#seen.add(name);
  }

  #stagedNames(): string[] {
    return this.#staged.map((index) => this.#names[index] as string);
  }

  #makeRoomForPrint(index: number): void {
    if ((index + 1) * sys.PRINT_BYTES <= this.#prints.byteLength) return;
    const larger = new Uint8Array(2 * this.#prints.byteLength);
    larger.set(this.#prints);
    this.#prints = larger;
  }
}
