// Reads the tar stream of the live channel: POSIX.1-2001 (pax) archives of regular files. Accepts any
// split of the stream and nothing that is not exactly this form: the sums of headers are checked, an
// entry of another type, a value that is no number or an archive that stops early throws `WireError`.
import { latin1, WireError } from './http.ts';

export interface TarEntry {
  readonly name: string;
  readonly sizeBytes: number;
  /** Permission bits, 0 to 0o777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface TarHandlers {
  readonly onEntry: (entry: TarEntry) => void;
  readonly onData: (chunk: Uint8Array) => void;
  readonly onEntryEnd: () => void;
}

/** What touches each byte of a header; the agent passes C functions, since QuickJS is slow at it. */
export interface BlockPrimitives {
  /** Sum of the block's 512 bytes with the checksum field read as spaces. */
  readonly checksum: (block: Uint8Array) => number;
  readonly text: (bytes: Uint8Array, from: number, to: number) => string;
}

const BLOCK_BYTES = 512;
const PAX_MAX_BYTES = 8192;

/** Fields of a ustar header: [offset, end]. POSIX.1-2017, pax, "ustar Interchange Format". */
const NAME = [0, 100] as const;
const MODE = [100, 108] as const;
const UID = [108, 116] as const;
const GID = [116, 124] as const;
const SIZE = [124, 136] as const;
const CHECKSUM = [148, 156] as const;
const TYPE = 156;
const MAGIC = [257, 263] as const;
const PREFIX = 345;

const TYPE_FILE = 0x30;
const TYPE_PAX = 0x78;

const PORTABLE_PRIMITIVES: BlockPrimitives = {
  checksum: (block) => {
    let sum = 8 * 0x20;
    for (let index = 0; index < BLOCK_BYTES; index += 1) {
      if (index < CHECKSUM[0] || index >= CHECKSUM[1]) sum += block[index] as number;
    }
    return sum;
  },
  text: latin1,
};

export class TarReader {
  readonly #handlers: TarHandlers;
  readonly #primitives: BlockPrimitives;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #blockFill = 0;
  #dataLeft = 0;
  #paddingLeft = 0;
  #pax: string | undefined;
  #overrides: ReadonlyMap<string, string> | undefined;
  #zeroBlocks = 0;

  constructor(handlers: TarHandlers, primitives: BlockPrimitives = PORTABLE_PRIMITIVES) {
    this.#handlers = handlers;
    this.#primitives = primitives;
  }

  /** Throws `WireError` unless the whole archive, its two closing blocks included, was read. */
  end(): void {
    if (this.#zeroBlocks < 2 || this.#blockFill > 0) throw new WireError('expected a whole tar archive, it stops early');
  }

  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength) {
      const available = chunk.byteLength - offset;
      if (this.#dataLeft > 0) {
        const take = Math.min(this.#dataLeft, available);
        this.#takeData(chunk.subarray(offset, offset + take));
        offset += take;
      } else if (this.#paddingLeft > 0) {
        const take = Math.min(this.#paddingLeft, available);
        this.#paddingLeft -= take;
        offset += take;
      } else if (this.#blockFill === 0 && available >= BLOCK_BYTES) {
        this.#readHeader(chunk.subarray(offset, offset + BLOCK_BYTES));
        offset += BLOCK_BYTES;
      } else {
        const take = Math.min(BLOCK_BYTES - this.#blockFill, available);
        this.#block.set(chunk.subarray(offset, offset + take), this.#blockFill);
        this.#blockFill += take;
        offset += take;
        if (this.#blockFill === BLOCK_BYTES) {
          this.#blockFill = 0;
          this.#readHeader(this.#block);
        }
      }
    }
  }

  #takeData(data: Uint8Array): void {
    this.#dataLeft -= data.byteLength;
    if (this.#pax === undefined) {
      this.#handlers.onData(data);
      if (this.#dataLeft === 0) this.#handlers.onEntryEnd();
      return;
    }
    this.#pax += this.#primitives.text(data, 0, data.byteLength);
    if (this.#dataLeft === 0) {
      this.#overrides = parsePaxRecords(this.#pax);
      this.#pax = undefined;
    }
  }

  #readHeader(block: Uint8Array): void {
    const sum = this.#primitives.checksum(block);
    if (sum === 8 * 0x20) {
      if (this.#overrides !== undefined) throw new WireError('expected an entry after a pax header');
      this.#zeroBlocks += 1;
      return;
    }
    if (this.#zeroBlocks > 0) throw new WireError('expected the tar archive to end after its closing block');
    const header = this.#primitives.text(block, 0, MAGIC[1]);
    if (octal(header, CHECKSUM) !== sum) throw new WireError('expected a tar header with a right checksum');
    if (string(header, MAGIC) !== 'ustar') throw new WireError('expected a ustar header');
    if (block[PREFIX] !== 0) throw new WireError('expected a tar name without a prefix');

    const type = block[TYPE];
    if (type === TYPE_PAX && this.#overrides === undefined) {
      const sizeBytes = octal(header, SIZE);
      if (sizeBytes === 0 || sizeBytes > PAX_MAX_BYTES) {
        throw new WireError(`expected a pax header of 1 to ${PAX_MAX_BYTES} bytes, got ${sizeBytes}`);
      }
      this.#pax = '';
      this.#expect(sizeBytes);
      return;
    }
    if (type !== TYPE_FILE) throw new WireError('expected a regular file in the tar archive');
    this.#readEntry(header);
  }

  #readEntry(header: string): void {
    const overrides = this.#overrides;
    this.#overrides = undefined;
    const entry: TarEntry = {
      name: overrides?.get('path') ?? string(header, NAME),
      sizeBytes: decimal(overrides?.get('size')) ?? octal(header, SIZE),
      mode: octal(header, MODE) & 0o777,
      uid: decimal(overrides?.get('uid')) ?? octal(header, UID),
      gid: decimal(overrides?.get('gid')) ?? octal(header, GID),
    };
    this.#handlers.onEntry(entry);
    this.#expect(entry.sizeBytes);
    if (entry.sizeBytes === 0) this.#handlers.onEntryEnd();
  }

  #expect(sizeBytes: number): void {
    this.#dataLeft = sizeBytes;
    this.#paddingLeft = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
  }
}

/** A field up to its first NUL. */
function string(header: string, field: readonly [number, number]): string {
  const text = header.slice(field[0], field[1]);
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}

/**
 * parseInt stops at the field's filling; no expression checks that it is one, since that would cost the
 * agent as much as the rest of the header.
 */
function octal(header: string, field: readonly [number, number]): number {
  const value = Number.parseInt(header.slice(field[0], field[1]), 8);
  // Not a number, or below 0: to chown(2) -1 is no owner at all.
  if (!(value >= 0)) throw new WireError('expected an octal number in a tar header');
  return value;
}

function decimal(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw new WireError('expected a decimal number in a pax record');
  return Number(text);
}

/** `LENGTH KEY=VALUE\n` records (POSIX.1-2017, pax Extended Header). */
function parsePaxRecords(text: string): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  let offset = 0;
  while (offset < text.length) {
    const match = /^([1-9][0-9]{0,4}) ([^=]+)=/.exec(text.slice(offset, offset + 64));
    if (match === null) throw new WireError('expected a pax record');
    const end = offset + Number(match[1]);
    const value = offset + match[0].length;
    if (end <= value || end > text.length || text[end - 1] !== '\n') throw new WireError('expected a whole pax record');
    records.set(match[2] as string, text.slice(value, end - 1));
    offset = end;
  }
  if (records.size === 0) throw new WireError('expected a pax record');
  return records;
}
