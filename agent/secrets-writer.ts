// Takes an archive of the host's apart: files of secrets go to their directory, `.cred.NAME` to the store of
// credentials, as root's and with nothing for others whatever the archive says. Nothing is in place before
// the whole archive is staged and checked.
import * as sys from 'sys';
import { parseSecretName } from '../src/secret/name.ts';
import { isCredentialName } from '../src/wire/credential-name.ts';
import { CREDENTIAL_PREFIX, WHITEOUT_PREFIX } from '../src/wire/protocol.ts';
import { TarReader, type TarEntry } from '../src/wire/tar.ts';
import { Fault, toFault } from './fault.ts';
import { PlaceWriter, type ArchiveKind, type Attributes, type Changes } from './place-writer.ts';
import type { Places } from './places.ts';

export const NO_CHANGES: Changes = { added: [], changed: [], removed: [] };

/** As systemd has the credentials that it imports. */
const CREDENTIAL_ATTRIBUTES: Attributes = { mode: 0o400, uid: 0, gid: 0 };

const PRIMITIVES = { checksum: sys.tarChecksum, text: sys.latin1 };

export class SecretsWriter {
  readonly #places: Places;
  readonly #kind: ArchiveKind;
  readonly #reader: TarReader;
  readonly #secrets: PlaceWriter;
  /** Undefined as long as there is no credential, and was none. */
  #credentials: PlaceWriter | undefined;
  /** Who stages the entry at hand; undefined for a whiteout. */
  #writer: PlaceWriter | undefined;
  #attributes: Attributes = CREDENTIAL_ATTRIBUTES;

  constructor(places: Places, kind: ArchiveKind) {
    this.#places = places;
    this.#kind = kind;
    this.#secrets = new PlaceWriter(places.secrets, kind);
    if (places.opened.length > 1) this.#credentials = new PlaceWriter(places.credentials(), kind);
    this.#reader = new TarReader({
      onEntry: (entry) => this.#beginEntry(entry),
      onData: (chunk) => this.#writer?.write(chunk),
      onEntryEnd: () => {
        this.#writer?.end(this.#attributes);
        this.#writer = undefined;
      },
    }, PRIMITIVES);
  }

  /** Throws a `Fault`; then `abort()` must follow. */
  push(chunk: Uint8Array): void {
    this.#blaming(() => this.#reader.push(chunk));
  }

  abort(): void {
    this.#secrets.abort();
    this.#credentials?.abort();
  }

  /** Throws a `Fault`; up to the first rename the old set is whole. */
  commit(): Changes {
    return this.#blaming(() => {
      this.#reader.end();
      this.#secrets.check();
      this.#credentials?.check();
      const secrets = this.#secrets.apply();
      return this.#credentials === undefined ? secrets : merged(secrets, prefixed(this.#credentials.apply()));
    });
  }

  /** What fails in `step` is the fault of the secret at hand. */
  #blaming<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      const credential = this.#credentials?.current;
      throw toFault(error, credential === undefined ? this.#secrets.current : `${CREDENTIAL_PREFIX}${credential}`);
    }
  }

  #beginEntry(entry: TarEntry): void {
    const isWhiteout = this.#kind === 'delta' && entry.name.startsWith(WHITEOUT_PREFIX);
    const path = isWhiteout ? entry.name.slice(WHITEOUT_PREFIX.length) : entry.name;
    const isCredential = path.startsWith(CREDENTIAL_PREFIX);
    const name = isCredential ? path.slice(CREDENTIAL_PREFIX.length) : path;
    if (isCredential ? !isCredentialName(name) : parseSecretName(name) === undefined) {
      throw new Fault('protocol', `the host sent a name that no ${isCredential ? 'credential' : 'secret'} can have`);
    }
    const writer = isCredential ? this.#credentialWriter(path) : this.#secrets;
    if (isWhiteout) return writer.whiteOut(name);
    this.#writer = writer;
    this.#attributes = isCredential ? CREDENTIAL_ATTRIBUTES : entry;
    writer.begin(name);
  }

  #credentialWriter(path: string): PlaceWriter {
    try {
      return (this.#credentials ??= new PlaceWriter(this.#places.credentials(), this.#kind));
    } catch (error) {
      throw toFault(error, path);
    }
  }
}

function prefixed({ added, changed, removed }: Changes): Changes {
  const entry = (name: string): string => `${CREDENTIAL_PREFIX}${name}`;
  return { added: added.map(entry), changed: changed.map(entry), removed: removed.map(entry) };
}

export function merged(one: Changes, other: Changes): Changes {
  return {
    added: [...one.added, ...other.added],
    changed: [...one.changed, ...other.changed],
    removed: [...one.removed, ...other.removed],
  };
}
