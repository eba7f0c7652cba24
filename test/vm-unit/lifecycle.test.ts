// Real VMs: launched, ended in every way, and nothing left of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { MACHINE_TYPES } from '../../src/delivery/hypervisor.ts';
import type { LaunchedVm } from '../../src/vm/contract.ts';
import { listenPrivately } from '../../src/live/socket-listener.ts';
import { findMarked } from '../../src/vm/process-table.ts';
import { hooks, missingPart, openLab, until, untilConsole, type Lab } from './vm-fixture.ts';

const skip = await missingPart();

/** A kernel command line whose guest runs these commands instead of its init. */
const inGuest = (lab: Lab, commands: readonly string[]): string =>
  `${lab.image.cmdline} rdinit=/bin/sh -- -c "${[...MOUNTS, ...commands].join('; ')}"`;
const MOUNTS = ['mount -t sysfs s /sys', 'mount -t proc p /proc', 'mount -t devtmpfs d /dev'];

test('a launched VM shows its boot token to no one but the guest', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const steps: string[] = [];
  const vm = await vms.launch({ ...lab.request, userdata: Buffer.from('#!/bin/sh\n'), tags: ['a=b'] }, {
    async beforeStart(starting) {
      steps.push(starting.status);
      assert.ok(existsSync(dirname(starting.vsockPath)));
      assert.deepEqual(await findMarked(join(lab.daemonDirectory, '.slicer/vms/web-1')), []);
      assert.equal((await vms.guestMaterial('web-1')).bootToken?.sizeBytes, 64);
    },
  });
  assert.deepEqual(steps, ['starting']);
  assert.equal(vm.hostname, 'web-1');
  assert.equal(vm.status, 'running');
  assert.deepEqual(vms.list(), [vm]);

  const runtimeDirectory = dirname(vm.vsockPath);
  assert.deepEqual(readdirSync(runtimeDirectory).sort(), ['boot-token', 'control.sock', 'userdata', 'vhost.sock', 'vm.vsock']);
  for (const file of ['boot-token', 'userdata']) assert.equal(statSync(join(runtimeDirectory, file)).mode & 0o7777, 0o600);
  const token = Buffer.from((await vms.guestMaterial('web-1')).bootToken!.reveal()).toString();
  assert.match(token, /^[0-9a-f]{64}$/);

  const processes = await findMarked(join(lab.daemonDirectory, '.slicer/vms/web-1'));
  assert.equal(processes.length, 3);
  const seen = [
    readFileSync(join(lab.daemonDirectory, '.slicer/vms/web-1/vm.json'), 'latin1'),
    readFileSync(join(lab.daemonDirectory, '.slicer/vms/web-1/console.log'), 'latin1'),
    ...processes.flatMap(({ pid }) => ['cmdline', 'environ', 'comm'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))),
  ].join('\n');
  for (const form of [token, Buffer.from(token).toString('base64'), Buffer.from(token, 'hex').toString('base64')]) {
    assert.ok(!seen.includes(form));
  }
  for (const { pid } of processes) {
    // proc_pid_stat(5), field 6: the session; each process leads its own, so no terminal's end reaches it.
    assert.equal(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[3], String(pid));
    assert.match(readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size +0 +0 /m);
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
  }
  await vms.delete('web-1');
  assert.deepEqual(vms.list(), []);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

const machines = [
  {
    machine: 'q35', where: 'SMBIOS',
    read: 'strings /sys/firmware/dmi/entries/11-0/raw',
    shown: (token: Buffer) => `io.systemd.credential.binary:slicer.boot-token=${token.toString('base64')}`,
  },
  {
    machine: 'microvm', where: 'fw_cfg',
    read: 'modprobe qemu_fw_cfg; cat /sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/slicer.boot-token/raw; echo',
    shown: (token: Buffer) => token.toString(),
  },
] as const;
for (const { machine, where, read, shown } of machines) {
  test(`a guest on ${machine} boots, finds its token in ${where}, and hears its power button`, { skip }, async (t) => {
    const lab = await openLab(t);
    const vms = await lab.open();
    const cmdline = inGuest(lab, [
      read,
      'modprobe -a button evdev', 'exec 3</dev/input/$(grep -l Power /sys/class/input/event*/device/name | cut -d/ -f5)', 'echo listening', 'dd bs=24 count=1 <&3', 'poweroff -f',
    ]);
    await vms.launch({ ...lab.request, vmm: { hypervisor: 'qemu', machine }, cmdline, stopGraceMs: 3_600_000 }, hooks);
    const token = Buffer.from((await vms.guestMaterial('web-1')).bootToken!.reveal());
    await untilConsole(lab, vms, 'web-1', 'listening');
    const { content } = await vms.logs('web-1', 0);
    assert.ok(content.includes(shown(token)), content);
    assert.equal((await vms.logs('web-1', 1)).lines, 1);
    // It resolves when the guest has powered off, or when the hour of its grace is over.
    await vms.delete('web-1');
    await vms.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });
}

test('a guest that powers itself off has stopped, not failed', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await vms.launch({ ...lab.request, cmdline: inGuest(lab, ['echo my last words', 'poweroff -f']) }, hooks);
  await until(vms, 'web-1', (vm) => vm?.status === 'stopped' && (vm as LaunchedVm).lastConsoleLines.length > 0);
  const vm = vms.get('web-1') as LaunchedVm;
  assert.equal(vm.reason, 'the guest powered itself off');
  assert.ok(vm.lastConsoleLines.includes('my last words'), vm.lastConsoleLines.join('\n'));
  await vms.delete('web-1');
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

for (const machine of MACHINE_TYPES) {
  test(`a guest on ${machine} reaches the host at PATH_901`, { skip }, async (t) => {
    const lab = await openLab(t);
    const vms = await lab.open();
    const server = createServer((socket) => socket.destroy());
    t.after(() => server.close());
    await vms.launch({ ...lab.request, vmm: { hypervisor: 'qemu', machine }, cmdline: lab.image.cmdline }, {
      beforeStart: ({ vsockPath, vmUid }) => listenPrivately(server, `${vsockPath}_901`, vmUid),
  });
  await once(server, 'connection');
  await vms.stopAll();
  assert.deepEqual(await lab.leftovers(), []);
  });
}

for (const [name, machine, word, reason] of [
  ['VM whose VMM', 'q35', 'qemu', 'its VMM was ended by SIGKILL'],
  ['microvm whose VSOCK device', 'microvm', 'vhost', 'its VSOCK device was ended by SIGKILL'],
] as const) {
  test(`a ${name} is killed is shown as failed, and only its record stays`, { skip }, async (t) => {
    const lab = await openLab(t);
    const vms = await lab.open();
    await vms.launch({ ...lab.request, vmm: { hypervisor: 'qemu', machine } }, hooks);
    const pid = await lab.pidOf('web-1', word);
    process.kill(pid, 'SIGKILL');
    await until(vms, 'web-1', (vm) => vm?.status === 'failed');
    assert.equal(vms.get('web-1')?.reason, reason);
    await vms.closeKeepingVms();
    assert.deepEqual((await lab.leftovers()).map((path) => path.slice(-5)), ['web-1']);

    const later = await lab.open();
    assert.equal(later.get('web-1')?.reason, reason);
    await assert.rejects(later.guestMaterial('web-1'), { code: 'vm_not_running' });
    await later.delete('web-1');
    await later.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });
}

test('a VM whose console writer is killed runs on, with a warning', { skip }, async (t) => {
  const lab = await openLab(t);
  let warn: (message: string) => void = () => undefined;
  const warned = new Promise<string>((resolve) => { warn = resolve; });
  const vms = await lab.open({ warn });
  await vms.launch(lab.request, hooks);
  process.kill(await lab.pidOf('web-1', 'slicer-agent'), 'SIGKILL');
  assert.equal(await warned, 'the console log of vm "web-1" was ended by SIGKILL; it is no longer written');
  assert.equal(vms.get('web-1')?.status, 'running');
  await vms.stopAll();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a guest that ignores its power button is ended when its grace is over', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await vms.launch({ ...lab.request, stopGraceMs: 300 }, hooks);
  const stopping = until(vms, 'web-1', (vm) => vm?.status === 'stopping');
  const began = performance.now();
  const deleted = vms.delete('web-1');
  await stopping;
  await Promise.all([deleted, vms.delete('web-1')]);
  assert.ok(performance.now() - began >= 300);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('VMs launched at once have names, tokens and CIDs of their own, and end together', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const launched = await Promise.all([vms.launch(lab.request, hooks), vms.launch(lab.request, hooks)]);
  assert.deepEqual(launched.map(({ hostname }) => hostname), ['web-1', 'web-2']);
  const tokens = await Promise.all(launched.map(async ({ hostname }) =>
    Buffer.from((await vms.guestMaterial(hostname)).bootToken!.reveal()).toString()));
  assert.notEqual(tokens[0], tokens[1]);
  const cids = await Promise.all(launched.map(async ({ hostname }) => {
    const argv = readFileSync(`/proc/${await lab.pidOf(hostname, 'vhost')}/cmdline`, 'latin1').split('\0');
    return argv[argv.indexOf('--guest-cid') + 1];
  }));
  assert.notEqual(cids[0], cids[1]);
  await vms.stopAll();
  assert.deepEqual(vms.list(), []);
  assert.deepEqual(await lab.leftovers(), []);
  await assert.rejects(vms.launch(lab.request, hooks), { code: 'shutting_down' });
});

test('userdata leaves the host at most once, and its end is kept', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const script = Buffer.from('#!/bin/sh\necho hello\n');
  const vm = await vms.launch({ ...lab.request, userdata: script }, hooks);
  assert.deepEqual(vm.userdata, { state: 'waiting' });
  assert.deepEqual(Buffer.from((await vms.guestMaterial('web-1')).userdata!), script);
  await vms.userdataDone('web-1', 0);
  await vms.userdataClaimed('web-1');
  await assert.rejects(vms.userdataClaimed('web-1'), { code: 'vm_not_running' });
  assert.equal((await vms.guestMaterial('web-1')).userdata, undefined);
  assert.ok(!existsSync(join(dirname(vm.vsockPath), 'userdata')));
  await vms.closeKeepingVms();

  const later = await lab.open();
  assert.deepEqual((later.get('web-1') as LaunchedVm).userdata, { state: 'claimed' });
  await later.userdataDone('web-1', 3);
  await later.userdataDone('web-1', 4);
  assert.deepEqual((later.get('web-1') as LaunchedVm).userdata, { state: 'done', exitCode: 3 });
  await later.stopAll();
});
