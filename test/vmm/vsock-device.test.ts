import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { chooseKernelVsock } from '../../src/vmm/vsock-device.ts';

const able = { deviceOpens: true, isRoot: true, accelerator: 'kvm' } as const;

const table: [string, string | undefined, Parameters<typeof chooseKernelVsock>[1], boolean][] = [
  ["the kernel's VSOCK is used where all that it takes is there", undefined, able, true],
  ['not without its device', '', { ...able, deviceOpens: false }, false],
  ['not by an ordinary user, who may not have its port', undefined, { ...able, isRoot: false }, false],
  ['not where guests are emulated', undefined, { ...able, accelerator: 'tcg' }, false],
  ['wherever the user says so', 'kernel', { ...able, accelerator: 'tcg' }, true],
  ['nowhere against his wish', 'vhost-device-vsock', able, false],
];
for (const [name, override, machine, expected] of table) {
  test(name, () => assert.equal(chooseKernelVsock(override, machine), expected));
}

test('another wish is refused with those that there are', () => {
  assert.throws(() => chooseKernelVsock('yes', able), (error) => error instanceof SlicerError
    && error.message === 'SLICER_VSOCK is "yes"; it is "kernel", "vhost-device-vsock" or not set');
});
