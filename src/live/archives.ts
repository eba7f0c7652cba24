// The tar archives that VMs receive, packed once for all VMs that are to get the same. An archive is an
// immutable buffer that every connection sends from; it lives as long as its snapshot or its readers.
import { packTar } from 'modern-tar';
import type { Snapshot, StoredSecret } from '../store/contract.ts';
import { WHITEOUT_PREFIX } from '../wire/protocol.ts';
import { changesSince, grantKey, grantedSecrets, type Changes, type View } from './view.ts';

/** Archives of one snapshot that are kept for the next VM; more than these bytes, and they are let go. */
const KEPT_MAX_BYTES = 64 * 1024 * 1024;

/** A ustar header's mtime has 11 octal digits. */
const MTIME_MAX_SECONDS = 8 ** 11 - 1;

interface Kept {
  readonly archives: Map<string, Promise<Buffer>>;
  bytes: number;
}

export class Archives {
  readonly #kept = new WeakMap<Snapshot, Kept>();

  /**
   * All that the grant covers, or with `base` what a VM that holds that counter lacks: files, and
   * whiteouts for what was removed. The caller must not write to the buffer.
   */
  get(view: View, base: number | undefined): Promise<Buffer> {
    const kept = this.#keptFor(view.snapshot);
    const key = `${base ?? 'full'} ${grantKey(view.grant)}`;
    const known = kept.archives.get(key);
    if (known !== undefined) return known;
    const changes = base === undefined
      ? { secrets: grantedSecrets(view.snapshot, view.grant), removed: [] }
      : changesSince(view, base);
    const archive = pack(changes);
    kept.archives.set(key, archive);
    void archive.then(({ byteLength }) => {
      kept.bytes += byteLength;
      if (kept.bytes > KEPT_MAX_BYTES) {
        kept.archives.clear();
        kept.bytes = 0;
      }
    }, () => kept.archives.delete(key));
    return archive;
  }

  #keptFor(snapshot: Snapshot): Kept {
    let kept = this.#kept.get(snapshot);
    if (kept === undefined) this.#kept.set(snapshot, (kept = { archives: new Map(), bytes: 0 }));
    return kept;
  }
}

async function pack({ secrets, removed }: Changes): Promise<Buffer> {
  const archive = await packTar([
    ...secrets.map((secret) => ({ header: headerOf(secret), body: secret.value.reveal() })),
    ...removed.map((name) => ({
      header: { name: `${WHITEOUT_PREFIX}${name}`, size: 0, mode: 0, uid: 0, gid: 0, mtime: new Date(0), uname: '', gname: '' },
    })),
  ]);
  return Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
}

function headerOf({ name, value, attributes, modifiedAtMs }: StoredSecret) {
  const seconds = Math.min(Math.max(0, Math.floor(modifiedAtMs / 1000)), MTIME_MAX_SECONDS);
  return { name, size: value.sizeBytes, ...attributes, mtime: new Date(seconds * 1000), uname: '', gname: '' };
}
