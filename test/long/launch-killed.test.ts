// QEMU is killed at one step after the other of a launch, at a system call that strace(1) picks out, and at
// every state after it: each time nothing is left, and the next launch works.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { findCommand } from '../../image/command.ts';
import { MISSING_PART } from '../vm/parts.ts';
import { eventually } from '../vm/patience.ts';
import { processesOf } from '../vm/processes.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';

const strace = findCommand('strace');
const qemu = findCommand('qemu-system-x86_64');

const wrappers = mkdtempSync(join(tmpdir(), 'slicer-killed-'));
// The VMM is a user of its own.
chmodSync(wrappers, 0o755);
after(() => rmSync(wrappers, { recursive: true }));
const moment = join(wrappers, 'moment');
const wrapper = join(wrappers, 'qemu-system-x86_64');
// strace goes its own way (-D), so that QEMU is the process that was started.
writeFileSync(wrapper, `#!/bin/sh
read -r call when < ${moment}
[ "$call" = none ] && exec ${qemu} "$@"
exec ${strace} -D -qqq -o /dev/null -e trace="$call" -e inject="$call:signal=SIGKILL:when=$when" ${qemu} "$@"
`);
chmodSync(wrapper, 0o755);
process.env['PATH'] = [wrappers, process.env['PATH']].join(delimiter);

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_PART || (strace === undefined ? 'strace is missing: apt-get install strace' : false),
  prepare: async (slicer) => slicer.put('key', 'value'),
});
const { skip } = fixture;

const killAt = (call: string, when = ''): void => writeFileSync(moment, `${call} ${when}\n`);

/** What is there of VMs: processes, sockets and files. */
function left(): string[] {
  const { slicer } = fixture;
  const records = slicer.path('.slicer/vms');
  const processes = processesOf(slicer.path('.slicer/vms')).map(({ pid, cmdline }) => `${pid} ${cmdline.toString().split('\0')[0]}`);
  const files = [...(existsSync(records) ? [records] : []), ...slicer.runtimeDirectories()]
    .flatMap((directory) => readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name)));
  return [...processes, ...files];
}

for (const [what, call, when] of [
  ['as soon as it is executed', 'brk', 1], ['when it takes its memory', 'memfd_create', 1], ['when it makes its first socket', 'socket', 1],
  ['when it names its control socket', 'bind', 1], ['when that listens', 'listen', 1], ['when it reaches its VSOCK device', 'connect', 1],
  ['when it first asks that', 'sendmsg', 1], ['when it sets the device up', 'sendmsg', 12], ['when it makes the events of its devices', 'eventfd2', 3],
  ['when its first thread begins', 'clone3', 1],
] as const) {
  test(`a VMM that is killed ${what} leaves nothing, and the launch says so`, { skip }, async () => {
    const { slicer } = fixture;
    killAt(call, String(when));
    const { exitCode, stderr } = await slicer.run(['vm', 'launch', '--no-secrets']);
    assert.equal(exitCode, 1, stderr);
    assert.match(stderr, /^slicer: error: vm "vm-1" did not start, at qemu-system-x86_64: vmm was ended by SIGKILL/m);
    // The tracer ends a moment after what it traced.
    await eventually(() => `left: ${left().join(', ')}`, () => left().length === 0);
  });
}

for (const [what, args, isThere] of [
  ['when it runs', [], () => true],
  ['when its guest has a session', [], () => fixture.slicer.daemonOutput.includes('the agent has a session')],
  ['when its guest has its secrets', ['--wait', '--timeout=120s'], () => true],
] as const) {
  test(`a VMM that is killed ${what} is a VM that failed, and nothing is left when that is deleted`, { skip }, async () => {
    const { slicer } = fixture;
    killAt('none');
    await slicer.ok(['vm', 'launch', ...args]);
    await eventually(what, isThere);
    const vmm = processesOf(slicer.path('.slicer/vms/vm-1')).find(({ cmdline }) => cmdline.toString().startsWith(`${qemu}\0`));
    assert.ok(vmm);
    process.kill(vmm.pid, 'SIGKILL');
    await eventually('the VM is shown as failed', async () => /^vm-1 .*Failed/m.test(await slicer.ok(['vm', 'list'])));
    await slicer.ok(['vm', 'delete', 'vm-1']);
    await eventually(() => `left: ${left().join(', ')}`, () => left().length === 0);
  });
}

test('after all that a launch works', { skip }, async () => {
  const { slicer } = fixture;
  killAt('none');
  const vm = await slicer.launch();
  assert.equal(await slicer.inGuest(vm, 'cat /run/slicer/secrets/key'), 'value');
});
