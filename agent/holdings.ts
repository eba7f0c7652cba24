// What the agent put into a directory: the names, kept in a file so that a restarted agent
// removes what it put there and nothing else, and for each file what tells that nobody touched it since.
// Whatever that file says, a name that no secret (no credential) can have is never acted on.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { Fault } from './fault.ts';
import type { SecretsDirectory } from './secrets-directory.ts';
import { utf8Bytes } from './text.ts';

/** In the state directory, and on its way there beside it, since a credential may have this name. */
const MANIFEST = '.manifest';
const MANIFEST_STAGED = '.manifest.new';

/** Where the list is kept of what stands in a directory. */
export const manifestOf = (path: string): string => `${path}.agent/${MANIFEST}`;

/** Lines of a manifest; each name is to be checked by whoever uses it. */
const linesOf = (manifest: string): string[] => manifest.split('\n').filter((line) => line !== '');

/** The names that a manifest has, each once; `isName` tells those that may be. */
export const namesIn = (manifest: string, isName: (name: string) => boolean): string[] => [...new Set(linesOf(manifest).filter(isName))];

export class Holdings {
  readonly #directory: SecretsDirectory;
  #names: string[];
  #indexes: Map<string, number>;
  #prints: Uint8Array;
  /** How many names the file has; undefined where it is to be written anew: without one an agent that holds none says so, too. */
  #savedCount: number | undefined;

  /** `isName`: whether what the directory holds can have this name. */
  constructor(directory: SecretsDirectory, isName: (name: string) => boolean) {
    this.#directory = directory;
    const manifest = std.loadFile(manifestOf(directory.path));
    this.#names = namesIn(manifest ?? '', isName);
    this.#savedCount = manifest === null || linesOf(manifest).length !== this.#names.length ? undefined : this.#names.length;
    this.#indexes = new Map(this.#names.map((name, index) => [name, index]));
    this.#prints = new Uint8Array(this.#names.length * sys.PRINT_BYTES);
  }

  get names(): readonly string[] {
    return this.#names;
  }

  has(name: string): boolean {
    return this.#indexes.has(name);
  }

  /** Names of files that are not as the agent left them. */
  altered(): string[] {
    const indexes = sys.changedFiles(this.#directory.fd, this.#names, this.#prints);
    return indexes.map((index) => this.#names[index] as string);
  }

  /** Writes down that these names may be there from now on, before the first of them is. */
  announce(names: readonly string[]): void {
    for (const name of names) this.#add(name);
    if (this.#names.length !== this.#savedCount) this.#save();
  }

  /** Ends a change: `held` are in place, `prints` tells in the same order how; `removed` are gone. */
  settle(held: readonly string[], prints: Uint8Array, removed: readonly string[]): void {
    if (removed.length > 0) this.#drop(new Set(removed));
    held.forEach((name, index) => {
      const print = prints.subarray(index * sys.PRINT_BYTES, (index + 1) * sys.PRINT_BYTES);
      this.#prints.set(print, (this.#indexes.get(name) as number) * sys.PRINT_BYTES);
    });
    if (removed.length > 0 || this.#savedCount === undefined) this.#save();
  }

  #add(name: string): void {
    if (this.has(name)) return;
    const index = this.#names.push(name) - 1;
    this.#indexes.set(name, index);
    const needed = (index + 1) * sys.PRINT_BYTES;
    if (needed <= this.#prints.byteLength) return;
    const larger = new Uint8Array(2 * needed);
    larger.set(this.#prints);
    this.#prints = larger;
  }

  #drop(removed: ReadonlySet<string>): void {
    const kept = this.#names.flatMap((name, index) => (removed.has(name) ? [] : [{ name, index }]));
    const prints = new Uint8Array(this.#prints.byteLength);
    kept.forEach(({ index }, position) => {
      const print = this.#prints.subarray(index * sys.PRINT_BYTES, (index + 1) * sys.PRINT_BYTES);
      prints.set(print, position * sys.PRINT_BYTES);
    });
    this.#names = kept.map(({ name }) => name);
    this.#indexes = new Map(this.#names.map((name, index) => [name, index]));
    this.#prints = prints;
  }

  #save(): void {
    const { statePath, stateFd } = this.#directory;
    const bytes = utf8Bytes(this.#names.map((name) => `${name}\n`).join(''));
    sys.removeFile(stateFd, MANIFEST_STAGED);
    const fd = sys.createFile(stateFd, MANIFEST_STAGED);
    try {
      for (let sent = 0; sent < bytes.byteLength;) sent += sys.write(fd, bytes, sent, bytes.byteLength);
    } finally {
      sys.finishFile(fd, 0o600, 0, 0);
    }
    const error = os.rename(`${statePath}/${MANIFEST_STAGED}`, `${statePath}/${MANIFEST}`);
    if (error !== 0) throw new Fault('EIO', `the list of what is held can't be replaced (error ${-error})`);
    this.#savedCount = this.#names.length;
  }
}
