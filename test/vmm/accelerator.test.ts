import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseAccelerator, findAccelerator } from '../../src/vmm/accelerator.ts';

const flags = (...names: string[]): string => `processor\t: 0\nflags\t\t: fpu vme ${names.join(' ')}\nbugs\t\t: svm_off\n`;

const table: [string, string | undefined, boolean, string, string][] = [
  ['kvm where the device opens and the processor has AMD-V', undefined, true, flags('svm'), 'kvm'],
  ['kvm where the device opens and the processor has VT-x', '', true, flags('vmx', 'lm'), 'kvm'],
  ['tcg where the device opens and the processor has neither', undefined, true, flags('lm'), 'tcg'],
  ['tcg where a longer flag or another line names it', undefined, true, flags('svmx', 'nosvm'), 'tcg'],
  ['tcg where the device does not open', undefined, false, flags('svm'), 'tcg'],
  ['what the user says against the machine: kvm', 'kvm', false, flags(), 'kvm'],
  ['what the user says against the machine: tcg', 'tcg', true, flags('svm'), 'tcg'],
];

for (const [name, override, kvmOpens, cpuinfo, expected] of table) {
  test(`the accelerator is ${name}`, () => {
    assert.equal(chooseAccelerator(override, { kvmOpens, cpuinfo }), expected);
  });
}

test('an unknown accelerator is refused by name', async () => {
  await assert.rejects(findAccelerator('xen'), { message: 'SLICER_ACCEL is "xen"; it is "kvm", "tcg" or not set' });
});
