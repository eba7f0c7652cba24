// Turns what lies in the directory into versions. Guarantees: a file that somebody writes in place is
// taken when its size and mtime have been still for 50 ms, whole or not at all; a name that is gone for
// less than that was an editor's way to save and no removal; what is no servable file is removed at once.
// A slower writer must use a temporary name and rename, as the store itself does.
//
// A file whose inode, size, mtime, ctime, mode and owner are those of the last look is not read again.
// That alone can miss a write in the same tick of the kernel's clock as the store's own (mtimes have a
// grain of up to 10 ms): an own write is therefore read back once it is 50 ms old and something stirs.
import { join } from 'node:path';
import { parseSecretName, SECRET_NAME_RULE, type SecretName } from '../secret/name.ts';
import { Secret } from '../secret/secret.ts';
import { isTemporaryName } from '../temporary/temporary-name.ts';
import type { Clock } from './clock.ts';
import {
  attributesOf, modifiedAtMsOf, observe, readUnchanged, sameContent, sameStamp,
  type Observation, type Stamp,
} from './entry.ts';
import type { Content, Ledger } from './ledger.ts';

/** How long size and mtime must stay as they are. */
const STILL_MS = 50;

const OUTSIDE_RULE = `has a name outside the rule: ${SECRET_NAME_RULE}`;

interface TakenFile {
  readonly stamp: Stamp;
  /** Whether the bytes were read when the file was still. */
  readonly settled: boolean;
}

/** A name that moved less than `STILL_MS` ago. */
interface Moving {
  /** Undefined: the name is absent. */
  readonly stamp: Stamp | undefined;
  readonly cancel: () => void;
  readonly waiters: (() => void)[];
}

export interface TrackerParts {
  readonly directory: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** Whether the directory is the one to look at now: entries of another one say nothing. */
  readonly isUsable: () => boolean;
  /** Called when a name that moved was looked at again. */
  readonly onSettled: () => void;
  /** Called with the file that a name is served from; undefined when it is not. */
  readonly onTaken: (name: SecretName, stamp: Stamp | undefined) => void;
}

export class Tracker {
  readonly #parts: TrackerParts;
  readonly #taken = new Map<SecretName, TakenFile>();
  readonly #moving = new Map<SecretName, Moving>();

  constructor(parts: TrackerParts) {
    this.#parts = parts;
  }

  /** Looks at every entry of the directory, `listing`, and at what was there before. */
  lookAtAll(listing: readonly string[]): void {
    const there = new Set(listing);
    const before = [...this.#taken.keys(), ...this.#moving.keys(), ...this.#parts.ledger.skippedFiles()];
    for (const file of new Set([...there, ...before])) {
      if (isTemporaryName(file)) continue;
      const name = parseSecretName(file);
      if (name === undefined) this.#parts.ledger.skip(file, there.has(file) ? OUTSIDE_RULE : undefined);
      else this.#weigh(name, observe(join(this.#parts.directory, file)));
    }
  }

  /** Looks at one entry, and puts what is there into the ledger's next snapshot. */
  look(file: string): void {
    // A name that is not UTF-8 cannot be looked up by what Node made of it: a listing shows it.
    if (isTemporaryName(file) || file.includes('\ufffd')) return;
    const name = parseSecretName(file);
    const observation = observe(join(this.#parts.directory, file));
    if (name !== undefined) this.#weigh(name, observation);
    else this.#parts.ledger.skip(file, observation.kind === 'absent' ? undefined : OUTSIDE_RULE);
  }

  /** The stamp of the file that the ledger's secret is from; undefined while none is served. */
  takenStamp(name: SecretName): Stamp | undefined {
    return this.#taken.get(name)?.stamp;
  }

  /** Resolves when the name was still for `STILL_MS` or moved again; at once when it does not move. */
  settled(name: SecretName): Promise<void> {
    const moving = this.#moving.get(name);
    return moving === undefined ? Promise.resolve() : new Promise((done) => moving.waiters.push(done));
  }

  /** Resolves when every name that moves now was still for `STILL_MS` or moved again. */
  async allSettled(): Promise<void> {
    await Promise.all([...this.#moving.keys()].map((name) => this.settled(name)));
  }

  /** A file that the store itself put there. */
  wrote(name: SecretName, stamp: Stamp): void {
    this.#rest(name);
    this.#setTaken(name, { stamp, settled: false });
  }

  /** The name is free, by the store's own doing. */
  removed(name: SecretName): void {
    this.#rest(name);
    this.#taken.delete(name);
    this.#parts.onTaken(name, undefined);
  }

  close(): void {
    for (const name of [...this.#moving.keys()]) this.#rest(name);
  }

  #weigh(name: SecretName, observation: Observation): void {
    if (observation.kind === 'unknown') {
      this.#parts.ledger.skip(name, observation.reason);
    } else if (observation.kind === 'unservable') {
      this.#refuse(name, observation.reason);
    } else if (observation.kind === 'absent') {
      if (this.#parts.ledger.get(name) === undefined) this.#vanish(name);
      else if (!this.#isMoving(name, undefined)) this.#move(name, undefined, STILL_MS);
    } else {
      this.#weighFile(name, observation.stamp);
    }
  }

  #weighFile(name: SecretName, stamp: Stamp): void {
    const taken = this.#taken.get(name);
    if (taken?.settled === true && sameStamp(taken.stamp, stamp)) {
      this.#rest(name);
      this.#parts.ledger.skip(name, undefined);
      return;
    }
    if (this.#isMoving(name, stamp)) return;
    const ageMs = this.#parts.clock.wallMs() - Number(stamp.mtimeNs) / 1e6;
    // An mtime in the future says nothing: then a full period of standing still does.
    if (ageMs >= STILL_MS) this.#take(name, stamp);
    else this.#move(name, stamp, ageMs < 0 ? STILL_MS : Math.ceil(STILL_MS - ageMs));
  }

  #take(name: SecretName, stamp: Stamp): void {
    const reading = readUnchanged(join(this.#parts.directory, name), stamp);
    if (reading.kind === 'changed') {
      this.#move(name, stamp, STILL_MS);
    } else if (reading.kind === 'unknown') {
      this.#parts.ledger.skip(name, reading.reason);
    } else if (reading.kind === 'unservable') {
      this.#refuse(name, reading.reason);
    } else {
      this.#rest(name);
      this.#setTaken(name, { stamp, settled: true });
      this.#parts.ledger.skip(name, undefined);
      this.#record(name, {
        value: new Secret(reading.bytes), attributes: attributesOf(stamp), modifiedAtMs: modifiedAtMsOf(stamp),
      });
    }
  }

  #record(name: SecretName, content: Content): void {
    const held = this.#parts.ledger.get(name);
    if (held !== undefined && sameAttributes(held, content) && sameBytes(held.value, content.value)) {
      this.#parts.ledger.touch(name, content.modifiedAtMs);
    } else {
      this.#parts.ledger.put(name, content);
    }
  }

  #refuse(name: SecretName, reason: string): void {
    this.#vanish(name);
    this.#parts.ledger.skip(name, reason);
  }

  #vanish(name: SecretName): void {
    this.removed(name);
    this.#parts.ledger.remove(name);
    this.#parts.ledger.skip(name, undefined);
  }

  #setTaken(name: SecretName, taken: TakenFile): void {
    this.#taken.set(name, taken);
    this.#parts.onTaken(name, taken.stamp);
  }

  #isMoving(name: SecretName, stamp: Stamp | undefined): boolean {
    const moving = this.#moving.get(name);
    if (moving === undefined) return false;
    if (moving.stamp === undefined || stamp === undefined) return moving.stamp === stamp;
    return sameContent(moving.stamp, stamp);
  }

  #move(name: SecretName, stamp: Stamp | undefined, delayMs: number): void {
    this.#rest(name);
    const cancel = this.#parts.clock.after(delayMs, () => this.#lookAgain(name, stamp));
    this.#moving.set(name, { stamp, cancel, waiters: [] });
  }

  #lookAgain(name: SecretName, before: Stamp | undefined): void {
    const waiters = this.#moving.get(name)?.waiters ?? [];
    this.#moving.delete(name);
    if (this.#parts.isUsable()) {
      const now = observe(join(this.#parts.directory, name));
      const isStill = now.kind === 'regular' && before !== undefined && sameContent(now.stamp, before);
      if (isStill) this.#take(name, now.stamp);
      else if (now.kind === 'absent' && before === undefined) this.#vanish(name);
      else this.#weigh(name, now);
    }
    this.#parts.onSettled();
    for (const done of waiters) done();
  }

  #rest(name: SecretName): void {
    const moving = this.#moving.get(name);
    if (moving === undefined) return;
    moving.cancel();
    this.#moving.delete(name);
    for (const done of moving.waiters) done();
  }
}

function sameAttributes(a: Content, b: Content): boolean {
  const [x, y] = [a.attributes, b.attributes];
  return x.mode === y.mode && x.uid === y.uid && x.gid === y.gid;
}

function sameBytes(a: Secret, b: Secret): boolean {
  return Buffer.compare(a.reveal(), b.reveal()) === 0;
}
