import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { uncompressedKernel } from '../../image/vmlinux.ts';

const SETUP_SECTORS = 2;
const PAYLOAD_OFFSET = 64;

/** A file as the boot protocol describes it, around a payload. */
function bzImage(t: TestContext, payload: Uint8Array): [file: string, directory: string] {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-kernel-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const start = (SETUP_SECTORS + 1) * 512 + PAYLOAD_OFFSET;
  const image = Buffer.alloc(start + payload.length + 4);
  image[0x1f1] = SETUP_SECTORS;
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt32LE(PAYLOAD_OFFSET, 0x248);
  image.writeUInt32LE(payload.length + 4, 0x24c);
  image.set(payload, start);
  writeFileSync(join(directory, 'vmlinuz'), image);
  return [join(directory, 'vmlinuz'), directory];
}

test('the kernel inside is found and unpacked', async (t) => {
  const kernel = Buffer.from(`\x7fELF${'code '.repeat(1000)}`, 'latin1');
  assert.deepEqual(await uncompressedKernel(...bzImage(t, zstdCompressSync(kernel))), kernel);
});

test('a payload that is compressed in another way is refused', async (t) => {
  await assert.rejects(uncompressedKernel(...bzImage(t, Buffer.from('\x1f\x8bgzip'))), /another way than zstd/);
});

test('a payload that is no kernel is refused', async (t) => {
  await assert.rejects(uncompressedKernel(...bzImage(t, zstdCompressSync(Buffer.from('no kernel')))), /no ELF kernel/);
});

test('a file that is no kernel is refused', async (t) => {
  const [file, directory] = bzImage(t, Buffer.alloc(4));
  writeFileSync(file, 'text');
  await assert.rejects(uncompressedKernel(file, directory), /no bzImage/);
});
