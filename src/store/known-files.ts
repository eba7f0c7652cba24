// What a process knew of the store's files, so that the next one can tell what somebody changed while none ran: of
// each file its inode, size, mtime, mode and owner, and never a byte of it nor anything that is made of its bytes.
//
// A line is appended in the same turn of the event loop as the change is seen, and not waited for to be on the
// disk: a killed process forgets nothing, a machine that loses power may forget the last changes, and the next
// start then takes them for somebody's. The ctime is left out, since a backup by hard links changes it.
import { appendFileSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseSecretName, type SecretName } from '../secret/name.ts';
import type { NameChange } from './contract.ts';
import type { Stamp } from './entry.ts';

/** Appended lines beside one for each secret; then the file is written anew. */
const MORE_LINES_MAX = 1000;

export class KnownFiles {
  readonly #path: string;
  /** As the process before left it; undefined when there is nothing to compare with. */
  #before: ReadonlyMap<SecretName, string> | undefined;
  readonly #prints = new Map<SecretName, string>();
  /** Until the first look at the store is done, nothing is written. */
  #isOpen = false;
  /** How many lines the file has; undefined: it has to be written anew. */
  #lines: number | undefined;

  /** `path` need not be there; its directory must, and be its owner's alone. */
  constructor(path: string) {
    this.#path = path;
    this.#before = readPrints(path);
  }

  /** The file that the secret is from now; undefined when it is no longer served. */
  note(name: SecretName, stamp: Stamp | undefined): void {
    const print = stamp === undefined ? undefined : printOf(stamp);
    if (this.#prints.get(name) === print) return;
    if (print === undefined) this.#prints.delete(name);
    else this.#prints.set(name, print);
    if (this.#isOpen) this.#write(lineOf(name, print));
  }

  /**
   * What differs from what the process before knew, once all files were looked at; nothing at the first start.
   * Of a file that `isUnknown` nothing could be learned: it is as it was.
   */
  open(isUnknown: (name: SecretName) => boolean): readonly NameChange[] {
    const before = this.#before ?? new Map(this.#prints);
    this.#before = undefined;
    for (const [name, print] of before) if (!this.#prints.has(name) && isUnknown(name)) this.#prints.set(name, print);
    const removed = [...before.keys()].filter((name) => !this.#prints.has(name)).map((name): NameChange => ({ name, kind: 'remove' }));
    const changed = [...this.#prints].filter(([name, print]) => before.get(name) !== print)
      .map(([name]): NameChange => ({ name, kind: before.has(name) ? 'update' : 'create' }));
    this.#isOpen = true;
    this.#write('');
    return [...removed, ...changed];
  }

  /** On a disk that is full the file stays behind, and is written anew with the next change. */
  #write(line: string): void {
    try {
      if (this.#lines === undefined || this.#lines > this.#prints.size + MORE_LINES_MAX) return this.#writeAnew();
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#lines += 1;
    } catch {
      this.#lines = undefined;
    }
  }

  #writeAnew(): void {
    this.#lines = undefined;
    const next = `${this.#path}.new`;
    const descriptor = openSync(next, 'w', 0o600);
    try {
      writeFileSync(descriptor, [...this.#prints].map(([name, print]) => lineOf(name, print)).join(''));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(next, this.#path);
    this.#lines = this.#prints.size;
  }
}

const printOf = ({ ino, size, mtimeNs, mode, uid, gid }: Stamp): string => [ino, size, mtimeNs, mode, uid, gid].join(' ');

/** The name, and the print where it is served. No name has a space. */
const lineOf = (name: SecretName, print: string | undefined): string => `${name}${print === undefined ? '' : ` ${print}`}\n`;

/** Undefined when there is nothing to read. */
function readPrints(path: string): Map<SecretName, string> | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
  return printsIn(text);
}

/** A line that a crash cut short, and whatever is none of ours, is passed over. */
export function printsIn(text: string): Map<SecretName, string> {
  const prints = new Map<SecretName, string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [, file = '', print] = /^([^ ]+)(?: ([0-9]+(?: -?[0-9]+){5}))?$/.exec(line) ?? [];
    const name = parseSecretName(file);
    if (name === undefined) continue;
    if (print === undefined) prints.delete(name);
    else prints.set(name, print);
  }
  return prints;
}
