// The archive that a kernel unpacks as its first file system: cpio in the "newc" form
// (Documentation/driver-api/early-userspace/buffer-format.rst of the Linux source). The same entries always
// give the same bytes: times are zero and inode numbers are counted.

export type CpioEntry = {
  /** Relative, without `./`; its directories come before it. */
  readonly path: string;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'file'; readonly mode: number; readonly data: Uint8Array }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'character'; readonly mode: number; readonly major: number; readonly minor: number }
);

const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000, character: 0o020000 };
const TRAILER = 'TRAILER!!!';

/**
 * QEMU puts an initramfs on whole pages right below the end of memory, and so does its microvm's firmware with
 * the tables of ACPI: what the last page of the one leaves free is all the room for the other, which is
 * overwritten otherwise, and the guest hangs. So an archive ends here in its last page.
 */
const PAGE_BYTES = 4096;
const LAST_PAGE_BYTES = 4;

/** An uncompressed archive of these entries, in this order. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => {
    const data = contentOf(entry);
    const permissions = entry.type === 'symlink' ? 0o777 : entry.mode;
    const device = entry.type === 'character' ? [entry.major, entry.minor] : [0, 0];
    const fields = [
      index + 1,
      TYPE_BITS[entry.type] | permissions,
      entry.uid ?? 0,
      entry.gid ?? 0,
      1,
      0,
      data.length,
      ...[0, 0],
      ...device,
    ];
    return member(entry.path, fields, data);
  });
  const archive = [...parts, ...member(TRAILER, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], Buffer.alloc(0))];
  const bytes = archive.reduce((sum, { length }) => sum + length, 0);
  const free = (LAST_PAGE_BYTES - bytes) % PAGE_BYTES;
  return Buffer.concat([...archive, Buffer.alloc(free < 0 ? free + PAGE_BYTES : free)]);
}

function contentOf(entry: CpioEntry): Buffer {
  if (entry.type === 'file') return Buffer.from(entry.data);
  return Buffer.from(entry.type === 'symlink' ? entry.target : '');
}

/** Header, name and data, each of the last two ending on a multiple of four bytes. */
function member(path: string, fields: readonly number[], data: Buffer): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const numbers = [...fields, name.length, 0].map((field) => field.toString(16).padStart(8, '0'));
  const header = Buffer.concat([Buffer.from(`070701${numbers.join('')}`), name]);
  return [header, padding(header.length), data, padding(data.length)];
}

const padding = (length: number): Buffer => Buffer.alloc(-length & 3);
