// A daemon that was killed, at any moment, and the one after it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import type { LaunchedVm } from '../../src/vm/contract.ts';
import { endProcesses, findMarked, startTimeOf } from '../../src/vm/process-table.ts';
import type { VmPrograms } from '../../src/vm/programs.ts';
import { hooks, missingPart, openLab, realPrograms, until, type Lab } from './vm-fixture.ts';

const skip = await missingPart();
const OWNER = join(import.meta.dirname, 'owner.ts');

interface Owner {
  /** How far the launch goes. */
  readonly hang: 'beforeStart' | 'running';
  readonly programs?: Partial<VmPrograms>;
  readonly machine?: 'q35' | 'microvm';
  /** Resolves when it is to be killed; else that is when the launch came to where it hangs. */
  readonly moment?: () => Promise<void>;
}

/** Launches `web-1` in a process of its own and kills that with -9. */
async function killOwner(t: TestContext, lab: Lab, { hang, programs = {}, machine = 'q35', moment }: Owner): Promise<void> {
  const options = {
    daemonDirectory: lab.daemonDirectory,
    uid: process.getuid!(),
    memoryDirectories: [lab.memoryDirectory],
    programs: { ...await realPrograms(), ...programs },
    accelerator: 'tcg',
  };
  const request = { ...lab.request, vmm: { hypervisor: 'qemu', machine }, userdata: '#!/bin/sh\n', grant: ['api-key'], tags: ['kept'] };
  const owner = spawn(process.execPath, [OWNER, JSON.stringify(options), JSON.stringify(request), hang], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => owner.kill('SIGKILL'));
  const exited = once(owner, 'exit');
  if (moment === undefined) {
    for await (const line of createInterface(owner.stdout)) if (line === hang) break;
  } else {
    await moment();
  }
  owner.kill('SIGKILL');
  await exited;
}

test('VMs outlive a daemon that is killed, and the next one has them whole', { skip }, async (t) => {
  const lab = await openLab(t);
  await killOwner(t, lab, { hang: 'running' });
  const vms = await lab.open();
  const vm = vms.get('web-1') as LaunchedVm;
  assert.deepEqual(
    { status: vm.status, group: vm.group, grant: vm.grant, tags: vm.tags, userdata: vm.userdata },
    { status: 'running', group: 'web', grant: ['api-key'], tags: ['kept'], userdata: { state: 'waiting' } },
  );
  const { bootToken, userdata } = await vms.guestMaterial('web-1');
  assert.match(Buffer.from(bootToken!.reveal()).toString(), /^[0-9a-f]{64}$/);
  assert.equal(Buffer.from(userdata!).toString(), '#!/bin/sh\n');
  assert.deepEqual(lab.warnings, []);
  assert.equal((await vms.launch(lab.request, hooks)).hostname, 'web-2');
  await vms.stopAll();
  assert.deepEqual(await lab.leftovers(), []);
});

for (const [name, machine, word, reason] of [
  ['VM\'s VMM', 'q35', 'qemu', 'its VMM ended'],
  ['microvm\'s VSOCK device', 'microvm', 'vhost', 'its VSOCK device ended'],
] as const) {
  test(`the death of an adopted ${name} is noticed`, { skip }, async (t) => {
    const lab = await openLab(t);
    await killOwner(t, lab, { hang: 'running', machine });
    const vms = await lab.open();
    process.kill(await lab.pidOf('web-1', word), 'SIGKILL');
    await until(vms, 'web-1', (vm) => vm?.status === 'failed');
    assert.equal(vms.get('web-1')?.reason, reason);
    await vms.delete('web-1');
    await vms.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });

  test(`a ${name} that died while no daemon watched clears the VM, which is shown as failed`, { skip }, async (t) => {
    const lab = await openLab(t);
    await killOwner(t, lab, { hang: 'running', machine });
    const pid = await lab.pidOf('web-1', word);
    await endProcesses([{ pid, start_time: startTimeOf(pid)! }], 0);
    const vms = await lab.open();
    const vm = vms.get('web-1') as LaunchedVm;
    assert.deepEqual([vm.status, vm.reason], ['failed', 'it ended while no daemon watched it']);
    const left = (await lab.leftovers()).filter((name) => /web-1|process/.test(name));
    assert.deepEqual(left, [join(lab.daemonDirectory, '.slicer/vms/web-1')]);
    await vms.delete('web-1');
    await vms.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });
}

test('a launch cut off before its first process is cleared', { skip }, async (t) => {
  const lab = await openLab(t);
  await killOwner(t, lab, { hang: 'beforeStart' });
  assert.notDeepEqual(await lab.leftovers(), []);
  const vms = await lab.open();
  assert.deepEqual(vms.list(), []);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a launch cut off between a process and the record of it is cleared with its processes', { skip }, async (t) => {
  const lab = await openLab(t);
  const qemu = join(lab.daemonDirectory, 'qemu');
  const started = join(lab.daemonDirectory, 'started');
  writeFileSync(qemu, `#!/bin/sh\n: > ${started}\nexec sleep 1000000\n`);
  chmodSync(qemu, 0o755);
  const events = watch(lab.daemonDirectory);
  await killOwner(t, lab, {
    hang: 'running',
    programs: { qemu },
    async moment() {
      for await (const { filename } of events) if (filename === 'started') break;
    },
  });
  const directory = join(lab.daemonDirectory, '.slicer/vms/web-1');
  assert.ok((await findMarked(directory)).length >= 2);
  assert.deepEqual(JSON.parse(readFileSync(join(directory, 'vm.json'), 'utf8')).processes, []);
  const vms = await lab.open();
  assert.deepEqual(vms.list(), []);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('processes of before a reboot of the machine are nobody\'s', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await vms.launch(lab.request, hooks);
  await vms.closeKeepingVms();
  // This process stands in for whoever has the id and the start time now.
  const file = join(lab.daemonDirectory, '.slicer/vms/web-1/vm.json');
  const record = JSON.parse(readFileSync(file, 'utf8'));
  const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1]!.split(' ');
  const self = { pid: process.pid, start_time: Number(fields[19]) };
  const processes = record.processes.map((identity: object) => ({ ...identity, ...self }));
  writeFileSync(file, JSON.stringify({ ...record, processes, boot_id: 'another boot' }));
  const later = await lab.open();
  assert.equal(later.get('web-1')?.status, 'failed');
  await later.delete('web-1');
  await later.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a VM whose record is damaged is shown as failed and is ended by its deletion', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await vms.launch(lab.request, hooks);
  await vms.closeKeepingVms();
  const file = join(lab.daemonDirectory, '.slicer/vms/web-1/vm.json');
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 100));
  const later = await lab.open();
  const vm = later.get('web-1')!;
  assert.deepEqual([vm.status, vm.grant], ['failed', []]);
  assert.equal(vm.reason, 'the record of vm "web-1" is damaged: it is no JSON');
  assert.deepEqual(lab.warnings, [vm.reason]);
  await assert.rejects(later.guestMaterial('web-1'), { code: 'vm_not_running' });
  assert.equal((await later.launch(lab.request, hooks)).hostname, 'web-2');
  await later.delete('web-1');
  await later.stopAll();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a VM that something else started is known to the next daemon, and only its record is deleted', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const vm = await vms.attach({ hostname: 'theirs', vsockPath: '/run/their.vsock', grant: [], tags: ['x'] });
  assert.deepEqual([vm.kind, vm.status, vm.vsockPath, vm.grant], ['attached', 'running', '/run/their.vsock', []]);
  await assert.rejects(vms.attach({ hostname: 'theirs', vsockPath: '/x', grant: 'all', tags: [] }), { code: 'vm_exists' });
  await vms.stopAll();

  const later = await lab.open();
  assert.deepEqual(later.list(), [vm]);
  assert.deepEqual(await later.guestMaterial('theirs'), {});
  assert.deepEqual(await later.logs('theirs', 0), { lines: 0, content: '' });
  await later.delete('theirs');
  assert.deepEqual(later.list(), []);
  await assert.rejects(later.delete('theirs'), { code: 'vm_not_found' });
  await later.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});
