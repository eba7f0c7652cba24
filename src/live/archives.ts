// The tar archives that VMs receive, packed once for all VMs that are to get the same. An archive is an
// immutable buffer that every connection sends from; it lives as long as its snapshot or its readers.
import { packTar } from 'modern-tar';
import { WHITEOUT_PREFIX } from '../wire/protocol.ts';
import type { SourceSnapshot } from './secret-source.ts';
import { changesSince, itemsOf, type Changes, type Item, type View } from './view.ts';

/** Archives of one snapshot that are kept for the next VM: the latest asked for, up to these bytes, and the last one always. */
const KEPT_MAX_BYTES = 64 * 1024 * 1024;

/** A ustar header's mtime has 11 octal digits. */
const MTIME_MAX_SECONDS = 8 ** 11 - 1;

const BLOCK_BYTES = 512;

/** An archive that is kept, or can be packed. The caller must not write to the buffer. */
export interface Offer {
  /** About how many bytes have to be packed; 0 for one that is kept. */
  readonly packBytes: number;
  /** What is in it, whiteouts aside. */
  readonly items: readonly Item[];
  readonly take: () => Promise<Buffer>;
}

interface Kept {
  readonly items: readonly Item[];
  readonly archive: Promise<Buffer>;
  /** An estimate until it is packed. */
  sizeBytes: number;
}

export class Archives {
  /** By snapshot; the one that was asked for last comes last. */
  readonly #kept = new WeakMap<SourceSnapshot, Map<string, Kept>>();

  /**
   * All that the scope covers, or with `base` what a VM that holds that version lacks: files, credentials,
   * and whiteouts for what was removed.
   */
  offer(view: View, base: number | undefined): Offer {
    const kept = this.#keptFor(view.snapshot);
    const key = `${base ?? 'full'} ${view.scope.key}`;
    const known = kept.get(key);
    if (known !== undefined) {
      kept.delete(key);
      kept.set(key, known);
      return { packBytes: 0, items: known.items, take: () => known.archive };
    }
    const changes = base === undefined ? { items: itemsOf(view), removed: [] } : changesSince(view, base);
    const packBytes = estimate(changes);
    return { packBytes, items: changes.items, take: () => kept.get(key)?.archive ?? keep(kept, key, { items: changes.items, archive: pack(changes), sizeBytes: packBytes }) };
  }

  #keptFor(snapshot: SourceSnapshot): Map<string, Kept> {
    let kept = this.#kept.get(snapshot);
    if (kept === undefined) this.#kept.set(snapshot, (kept = new Map()));
    return kept;
  }
}

function keep(kept: Map<string, Kept>, key: string, entry: Kept): Promise<Buffer> {
  const { archive } = entry;
  kept.set(key, entry);
  letGo(kept);
  archive.then(({ byteLength }) => {
    entry.sizeBytes = byteLength;
    letGo(kept);
  }, () => {
    if (kept.get(key) === entry) kept.delete(key);
  });
  return archive;
}

/** Never the last one: it may be larger than all that is kept, and asked for again and again. */
function letGo(kept: Map<string, Kept>): void {
  let bytes = 0;
  for (const { sizeBytes } of kept.values()) bytes += sizeBytes;
  for (const [key, { sizeBytes }] of kept) {
    if (bytes <= KEPT_MAX_BYTES || kept.size === 1) return;
    kept.delete(key);
    bytes -= sizeBytes;
  }
}

/** A header and a value in whole blocks each. */
function estimate({ items, removed }: Changes): number {
  let bytes = (items.length + removed.length) * BLOCK_BYTES;
  for (const { value } of items) bytes += Math.ceil(value.sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  return bytes;
}

async function pack({ items, removed }: Changes): Promise<Buffer> {
  const archive = await packTar([
    ...items.map((item) => ({ header: headerOf(item), body: item.value.reveal() })),
    ...removed.map((entry) => ({
      header: { name: `${WHITEOUT_PREFIX}${entry}`, size: 0, mode: 0, uid: 0, gid: 0, mtime: new Date(0), uname: '', gname: '' },
    })),
  ]);
  return Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
}

function headerOf({ entry, value, attributes, modifiedAtMs }: Item) {
  const seconds = Math.min(Math.max(0, Math.floor(modifiedAtMs / 1000)), MTIME_MAX_SECONDS);
  return { name: entry, size: value.sizeBytes, ...attributes, mtime: new Date(seconds * 1000), uname: '', gname: '' };
}
