import assert from 'node:assert/strict';
import { test } from 'node:test';
import { staticStringProblems } from '../../src/delivery/static-strings.ts';
import { messages, planOf, Q35, VMMS } from './delivery-fixture.ts';

const problemsOf = (...strings: string[]) => staticStringProblems('vm "web"', Q35, true, strings);

test('a string that a table can hold is taken as it is', () => {
  assert.deepEqual(problemsOf('a', 'ü€😀', 'a\nb', ' ', 'io.systemd.boot.kernel-cmdline-extra=x', 'x io.systemd.credential:a=b'), []);
});

test('a string that a table can not hold, or that is a credential, is told by its number and not shown', () => {
  assert.deepEqual(problemsOf('a', '', 'ab\0canary', 'io.systemd.credential:a=canary', 'io.systemd.credential.binary:a=canary'), [
    { code: 'invalid_request', message: 'static OEM string 2 of vm "web" is empty, which ends the table\'s strings', hint: 'leave it out' },
    { code: 'invalid_request', message: 'static OEM string 3 of vm "web" has a NUL at offset 2, which ends a string of a table', hint: 'leave it out' },
    ...[4, 5].map((which) => ({
      code: 'invalid_request', message: `static OEM string ${which} of vm "web" is a credential (io.systemd.credential...), and would not be kept as one`,
      hint: 'declare a secret instead: it is then read from a file of its own, and checked',
    })),
  ]);
});

test('static strings are refused by name where there is no SMBIOS', () => {
  for (const [title, vmm, arch] of VMMS) {
    const hasSmbios = title === 'QEMU q35' || title === 'Cloud Hypervisor';
    assert.deepEqual(messages(planOf(vmm, [], { arch, oemStrings: ['a', 'b'] })), hasSmbios ? [] : [
      `host group "web" has 2 static OEM strings, and ${title.replace(' on aarch64', '')} has no SMBIOS to carry them`,
    ]);
  }
});
