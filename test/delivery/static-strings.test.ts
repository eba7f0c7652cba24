import assert from 'node:assert/strict';
import { test } from 'node:test';
import { staticStringProblems } from '../../src/delivery/static-strings.ts';
import { messages, planOf, Q35, VMMS } from './delivery-fixture.ts';

const problemsOf = (...strings: string[]) => staticStringProblems('vm "web"', Q35, true, strings, ['TAKEN']);

test('a string that a table can hold is taken as it is', () => {
  assert.deepEqual(problemsOf('a', 'ü€😀', 'a\nb', ' ', 'io.systemd.boot.kernel-cmdline-extra=x', 'x io.systemd.credential:a=b'), []);
});

test('a credential that is no secret is taken, in both forms', () => {
  assert.deepEqual(problemsOf('io.systemd.credential:ENVIRONMENT=production', 'io.systemd.credential.binary:B=Yg==', 'io.systemd.credential:E='), []);
});

test('a string that a table can not hold, or that is a wrong credential, is told by its number and not shown', () => {
  const problems = problemsOf('a', '', 'ab\0canary', 'io.systemd.credential:canary', 'io.systemd.credential.binary:a/b=canary',
    'io.systemd.credential:TAKEN=canary', 'io.systemd.credential:ONE=canary', 'io.systemd.credential.binary:ONE=canary', 'io.systemd.credential:ssh.a=canary');
  assert.deepEqual(problems.map(({ message }) => message.replace('static OEM string ', '')), [
    '2 of vm "web" is empty, which ends the table\'s strings',
    '3 of vm "web" has a NUL at offset 2, which ends a string of a table',
    ...[4, 5].map((which) => `${which} of vm "web" is a credential whose name must be a file name of 1 to 255 printable ASCII characters without ":" and "=", with "=" after it`),
    ...[[6, 'TAKEN'], [8, 'ONE']].map(([which, name]) =>
      `${which} of vm "web" is credential "${name}", which the VM has already; systemd takes the first and drops the other in silence`),
    '9 of vm "web" is credential "ssh.a", one of ssh.*, which systemd acts on by itself: who sends it is root in the guest',
  ]);
  assert.ok(!JSON.stringify(problems).includes('canary'));
});

test('static strings are refused by name where there is no SMBIOS', () => {
  for (const [title, vmm, arch] of VMMS) {
    const hasSmbios = title === 'QEMU q35' || title === 'Cloud Hypervisor';
    assert.deepEqual(messages(planOf(vmm, [], { arch, oemStrings: ['a', 'b'] })), hasSmbios ? [] : [
      `host group "web" has 2 static OEM strings, and ${title.replace(' on aarch64', '')} has no SMBIOS to carry them`,
    ]);
  }
});
