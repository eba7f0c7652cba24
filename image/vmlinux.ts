// The kernel as an ELF file, out of the compressed form that packages have (boot protocol of x86,
// Documentation/arch/x86/boot.rst). Under emulation unpacking is a third of a boot, so it is done here once;
// QEMU then enters the kernel through its PVH entry point.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { fail } from '../src/errors/slicer-error.ts';
import { run } from './command.ts';

const SETUP_SECTORS_OFFSET = 0x1f1;
const HEADER_MAGIC_OFFSET = 0x202;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR_BYTES = 512;
const ZSTD_MAGIC = 0xfd2fb528;
const ELF_MAGIC = 0x464c457f;
/** The payload ends with the unpacked size, which is no part of the compressed stream. */
const SIZE_FIELD_BYTES = 4;

/** The ELF kernel within a bzImage; `directory` is for a temporary file. Throws build_failed for what is none. */
export async function uncompressedKernel(bzImage: string, directory: string): Promise<Buffer> {
  const payload = payloadOf(await readFile(bzImage), bzImage);
  const kernel = await zstdDecompress(payload, directory).catch(() => {
    throw fail('build_failed', `${bzImage} can't be unpacked: it is damaged`);
  });
  if (kernel.length < 4 || kernel.readUInt32LE(0) !== ELF_MAGIC) throw fail('build_failed', `${bzImage} holds no ELF kernel`);
  return kernel;
}

/** The compressed kernel in a bzImage, which errors call by its name. Throws build_failed. */
export function payloadOf(image: Buffer, bzImage: string): Buffer {
  if (image.length < PAYLOAD_LENGTH + 4 || image.toString('latin1', HEADER_MAGIC_OFFSET, HEADER_MAGIC_OFFSET + 4) !== 'HdrS') {
    throw fail('build_failed', `${bzImage} is no bzImage`);
  }
  const setupBytes = ((image[SETUP_SECTORS_OFFSET] || 4) + 1) * SECTOR_BYTES;
  const start = setupBytes + image.readUInt32LE(PAYLOAD_OFFSET);
  const end = start + image.readUInt32LE(PAYLOAD_LENGTH);
  const payload = image.subarray(start, end - SIZE_FIELD_BYTES);
  if (payload.length < 4 || payload.readUInt32LE(0) !== ZSTD_MAGIC) {
    throw fail('build_failed', `${bzImage} is compressed in another way than zstd`);
  }
  return payload;
}

/** Node has zstd from 22.15 on; before that the command has to do. */
async function zstdDecompress(data: Buffer, directory: string): Promise<Buffer> {
  if (typeof zlib.zstdDecompressSync === 'function') return zlib.zstdDecompressSync(data);
  const file = join(directory, 'kernel');
  await writeFile(`${file}.zst`, data);
  await run('zstd', ['--decompress', '--quiet', `${file}.zst`, '-o', file]);
  const kernel = await readFile(file);
  await Promise.all([rm(file), rm(`${file}.zst`)]);
  return kernel;
}
