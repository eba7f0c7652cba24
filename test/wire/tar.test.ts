import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { packTar } from 'modern-tar';
import { WireError } from '../../src/wire/http.ts';
import { TarReader, type TarEntry } from '../../src/wire/tar.ts';
import { cutAt, splitsOf } from './splits.ts';

interface File extends TarEntry {
  readonly data: Uint8Array;
}

const NAME_LETTERS = 'abcxyzABCXYZ019._-';
const name = fc.oneof(
  fc.string({ unit: fc.constantFrom(...NAME_LETTERS), minLength: 1, maxLength: 20 }),
  fc.constantFrom(99, 100, 101, 253).map((length) => 'n'.repeat(length)),
).map((text) => `x${text}`.slice(0, 253));
const id = fc.oneof(fc.nat({ max: 0xfffffffe }), fc.constantFrom(0, 2097151, 2097152, 4000000000, 4294967294));
const file: fc.Arbitrary<File> = fc.record({
  name: fc.oneof(name, name.map((text) => `.wh.${text}`)),
  data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 511, 512, 513, 2000).map((length) => new Uint8Array(length).fill(7))),
  mode: fc.nat({ max: 0o777 }),
  uid: id,
  gid: id,
}).map((entry) => ({ ...entry, sizeBytes: entry.data.byteLength }));

function pack(files: readonly File[]): Promise<Uint8Array> {
  return packTar(files.map(({ name, sizeBytes, mode, uid, gid, data }) => ({
    header: { name, size: sizeBytes, mode, uid, gid, mtime: new Date(0), uname: '', gname: '' },
    body: data,
  })));
}

function read(pieces: readonly Uint8Array[]): File[] {
  const files: File[] = [];
  let current: { entry: TarEntry; chunks: Uint8Array[] } | undefined;
  const reader = new TarReader({
    onEntry: (entry) => { current = { entry, chunks: [] }; },
    onData: (chunk) => current?.chunks.push(chunk.slice()),
    onEntryEnd: () => {
      assert.ok(current);
      files.push({ ...current.entry, data: new Uint8Array(Buffer.concat(current.chunks)) });
      current = undefined;
    },
  });
  for (const piece of pieces) reader.push(piece);
  reader.end();
  assert.equal(current, undefined);
  return files;
}

const plain = (files: readonly File[]): unknown =>
  files.map(({ name, sizeBytes, mode, uid, gid, data }) => ({ name, sizeBytes, mode, uid, gid, data: Buffer.from(data).toString('hex') }));

test('what modern-tar packs is read back whole, however the stream is split', async () => {
  await fc.assert(fc.asyncProperty(fc.array(file, { maxLength: 6 }), fc.infiniteStream(fc.nat()), async (files, random) => {
    const archive = await pack(files);
    const cuts = [...random.take(30)].map((number) => number % archive.byteLength);
    for (const pieces of [[archive], cutAt(archive, cuts), cutAt(archive, Array.from(archive, (_, index) => index))]) {
      assert.deepEqual(plain(read(pieces)), plain(files));
    }
  }), { numRuns: 60 });
});

test('GNU tar lists what modern-tar packs with the same names, owners, modes and sizes', async () => {
  const sample = fc.sample(file, { numRuns: 150, seed: 7 });
  const listing = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: await pack(sample), encoding: 'utf8' });
  const listed = listing.trimEnd().split('\n').map((line) => {
    const [mode, owner, size, , , name] = line.split(/ +/);
    return `${mode} ${owner} ${size} ${name}`;
  });
  assert.deepEqual(listed, sample.map((entry) => `-${letters(entry.mode)} ${entry.uid}/${entry.gid} ${entry.sizeBytes} ${entry.name}`));
});

test('what GNU tar packs as pax is read back whole', () => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-tar-'));
  try {
    const sample = new Map(fc.sample(file, { numRuns: 20, seed: 11 }).map((entry) => [entry.name, entry])).values();
    for (const entry of sample) {
      writeFileSync(join(directory, entry.name), entry.data);
      const archive = execFileSync('tar', [
        '--format=pax', '--numeric-owner', `--owner=:${entry.uid}`, `--group=:${entry.gid}`, `--mode=${entry.mode.toString(8)}`,
        '-C', directory, '-cf', '-', '--', entry.name,
      ]);
      assert.deepEqual(plain(read([archive])), plain([entry]));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const small: File = { name: 'api-key', sizeBytes: 3, mode: 0o600, uid: 1000, gid: 1000, data: Uint8Array.of(1, 2, 3) };

test('an archive that stops early is refused wherever it stops', async () => {
  const archive = await pack([small, { ...small, name: 'n'.repeat(150) }]);
  const whole = archive.byteLength;
  for (let length = 0; length < whole; length += 64) {
    assert.throws(() => read([archive.subarray(0, length)]), WireError, `${length} of ${whole} bytes`);
  }
});

test('a changed bit in a header is refused', async () => {
  const archive = await pack([small]);
  fc.assert(fc.property(fc.nat({ max: 511 }), fc.nat({ max: 7 }), (at, bit) => {
    const changed = archive.slice();
    changed[at] = (changed[at] as number) ^ (1 << bit);
    // The checksum's own last two bytes are a terminator and padding, which readers are lax about.
    fc.pre(at < 154 || at > 155);
    assert.throws(() => read([changed]), WireError);
  }));
});

test('an entry that is no regular file is refused', async () => {
  for (const type of ['symlink', 'directory', 'link', 'fifo', 'character-device'] as const) {
    const archive = await packTar([{ header: { name: 'api-key', size: 0, type, linkname: type.includes('link') ? '/etc/shadow' : '', mtime: new Date(0) } }]);
    assert.throws(() => read([archive]), WireError, type);
  }
});

test('a name that is split into prefix and name is refused', async () => {
  const archive = await pack([{ ...small, name: `${'d'.repeat(90)}/${'f'.repeat(90)}` }]);
  assert.throws(() => read([archive]), WireError);
});

test('a pax header that no entry follows is refused', async () => {
  const archive = await pack([{ ...small, name: 'n'.repeat(150) }]);
  // pax header and its records, two blocks, then the end of the archive
  assert.throws(() => read([archive.subarray(0, 1024), new Uint8Array(1024)]), WireError);
});

test('bytes after the closing blocks are refused', async () => {
  const archive = await pack([small]);
  assert.throws(() => read([archive, archive]), WireError);
  assert.throws(() => read([archive, new Uint8Array(10)]), WireError);
});

test('whatever bytes come, the reader reads or throws a WireError', async () => {
  const archive = await pack([small, { ...small, name: 'n'.repeat(150), uid: 4000000000 }, { ...small, name: 'b' }]);
  const mutated = fc.array(fc.tuple(fc.nat({ max: archive.byteLength - 1 }), fc.nat({ max: 255 })), { maxLength: 4 }).map((changes) => {
    const bytes = archive.slice();
    for (const [at, value] of changes) bytes[at] = value;
    for (let block = 0; block + 512 <= bytes.byteLength; block += 512) fixChecksum(bytes.subarray(block, block + 512));
    return bytes;
  });
  fc.assert(fc.property(mutated.chain(splitsOf), (pieces) => {
    try {
      read(pieces);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }), { numRuns: 300 });
});

for (const [field, at] of [['owner', 108], ['group', 116], ['size', 124]] as const) {
  test(`a ${field} below 0 is no number, though a reader of numbers takes it`, async () => {
    const archive = Buffer.from(await packTar([{ header: { name: 'a', size: 1, mode: 0o600, uid: 0, gid: 0 }, body: 'x' }]));
    archive.write('-1\0', at, 'latin1');
    fixChecksum(archive.subarray(0, 512));
    assert.throws(() => read([archive]), WireError);
  });
}

/** Makes the checksum of a header right, so that the checks behind it are reached. */
function fixChecksum(block: Uint8Array): void {
  if (Buffer.from(block.subarray(257, 262)).toString('latin1') !== 'ustar') return;
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
}

function letters(mode: number): string {
  return [6, 3, 0].map((shift) => {
    const bits = (mode >> shift) & 7;
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`;
  }).join('');
}
