import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BootItem } from '../../src/delivery/boot-items.ts';
import type { VmmChoice } from '../../src/delivery/hypervisor.ts';
import { oemStringsMaxBytes } from '../../src/delivery/smbios-table.ts';
import { Secret } from '../../src/secret/secret.ts';
import { chooseKernel } from '../../src/vmm/kernel-choice.ts';

const RAM_BYTES = 512 * 1024 * 1024;
const kernels = { kernel: '/vmlinux', lowInitrdKernel: '/bzImage' };
const most = oemStringsMaxBytes(RAM_BYTES, false);
const items = (sizeBytes: number): BootItem[] => [
  { form: 'oem-string', value: new Secret(Buffer.from('x')) }, { form: 'oem-string', value: new Secret(Buffer.alloc(sizeBytes - 3)) },
];
const q35: VmmChoice = { hypervisor: 'qemu', machine: 'q35' };

test('a table that has room beside the initramfs starts with the uncompressed kernel', () => {
  assert.equal(chooseKernel(q35, RAM_BYTES, items(most), kernels), '/vmlinux');
});

test('one byte more takes the kernel whose initramfs lies low', () => {
  assert.equal(chooseKernel(q35, RAM_BYTES, items(most + 1), kernels), '/bzImage');
});

test("where there is only the user's kernel it stays, and so does every other VMM's", () => {
  assert.equal(chooseKernel(q35, RAM_BYTES, items(most + 1), { kernel: '/vmlinux' }), '/vmlinux');
  for (const vmm of [{ hypervisor: 'qemu', machine: 'microvm' }, { hypervisor: 'cloud-hypervisor', machine: 'q35' }] as const) {
    assert.equal(chooseKernel(vmm, RAM_BYTES, items(most + 1), kernels), '/vmlinux');
  }
});
