import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { findKernel } from '../../image/kernel.ts';
import { lowInitrdKernel } from '../../image/low-initrd-kernel.ts';

test('two fields of the header change: where the initramfs may end, and that 4 GiB is no bound', () => {
  const bzImage = Buffer.alloc(1024, 0xff);
  const kernel = lowInitrdKernel(bzImage);
  assert.equal(kernel.readUInt32LE(0x22c), 0x07ffffff);
  assert.equal(kernel.readUInt16LE(0x236), 0xfffd);
  const changed = [...kernel.keys()].filter((offset) => kernel[offset] !== bzImage[offset]);
  assert.deepEqual(changed, [0x22f, 0x236]);
});

const kernel = findKernel();
test("Debian's kernel has the header that is meant", { skip: kernel === undefined && 'the kernel is missing: slicer image build' }, () => {
  const image = readFileSync(kernel?.lowInitrd as string);
  assert.equal(image.toString('latin1', 0x202, 0x206), 'HdrS');
  // From protocol 2.12 on there are the flags.
  assert.ok(image.readUInt16LE(0x206) >= 0x20c);
  assert.equal(image.readUInt32LE(0x22c), 0x07ffffff);
});
