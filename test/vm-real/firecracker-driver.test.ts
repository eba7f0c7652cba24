// Firecracker's driver and the real Firecracker: what the guest finds of a full specification, how it ends,
// and that the fake of other tests refuses what the real one does.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { findCommand } from '../../image/command.ts';
import { cpioArchive } from '../../image/cpio.ts';
import { findTinyImage } from '../../image/tiny.ts';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { firecrackerConfig } from '../../src/vmm/firecracker-config.ts';
import { firecrackerVmm } from '../../src/vmm/firecracker.ts';
import { assertRefusals, runFirecracker, type RunningFirecracker } from '../vmm/running-firecracker.ts';
import { missingFor } from './variant.ts';

const MIB = 1024 * 1024;
const TAP = 'slicertest0';

const skip = await missingFor({ title: 'Firecracker', hypervisor: 'firecracker' });
const program = findCommand('firecracker') ?? '';
const vmm = firecrackerVmm(program);
const forever = new AbortController().signal;

interface Lab extends RunningFirecracker {
  readonly spec: VmSpec;
}

async function specIn(directory: string): Promise<VmSpec> {
  const image = await findTinyImage();
  return {
    name: 'web-1', cpus: 1, ramBytes: 192 * MIB, kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline,
    volumes: [], shares: [], interfaces: [], watchdog: false, accelerator: 'kvm', guestCid: 4711, vsock: { kind: 'vhost-device-vsock' },
    sockets: { vsock: join(directory, 'vm.vsock'), vhost: join(directory, 'vhost.sock'), control: join(directory, 'control.sock') },
    bootSlots: [],
  };
}

/** A Firecracker that was told nothing yet. */
async function start(t: TestContext, change: (spec: VmSpec, directory: string) => VmSpec = (spec) => spec): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-fc-'));
  const spec = change(await specIn(directory), directory);
  assert.deepEqual(vmm.problems(spec), []);
  return { spec, ...await runFirecracker(t, program, spec, directory) };
}

/** In place of init. Without `=` and double quotes, which the kernel takes for its own. */
const LOOK = 'mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; modprobe -a virtio_mmio virtio_net; '
  + 'echo cpus $(nproc); echo devices $(cat /sys/bus/virtio/devices/*/device); echo mac $(cat /sys/class/net/eth0/address); reboot -f';

test('the guest finds what a full specification says, and ends Firecracker by its reboot', { skip }, async (t) => {
  execFileSync('ip', ['tuntap', 'add', 'dev', TAP, 'mode', 'tap']);
  t.after(() => execFileSync('ip', ['link', 'delete', TAP]));
  const lab = await start(t, (spec, directory) => {
    const disk = (name: string): string => {
      writeFileSync(join(directory, name), '');
      truncateSync(join(directory, name), MIB);
      return join(directory, name);
    };
    return {
      ...spec,
      cpus: 2,
      cmdline: `${spec.cmdline} rdinit=/bin/busybox -- sh -c "${LOOK}"`,
      volumes: [{ path: disk('root.raw'), readOnly: true }, { path: disk('data.raw'), readOnly: false }],
      interfaces: [{ kind: 'tap', name: TAP, mac: '52:54:00:00:00:01' }],
      balloon: { sizeBytes: 16 * MIB, deflateOnOom: true, freePageReporting: true },
    };
  });
  await vmm.boot(lab.spec, [], forever);
  assert.equal(await lab.ended, 0);
  assert.match(lab.output(), /^cpus 2\r$/m);
  assert.match(lab.output(), /^mac 52:54:00:00:00:01\r$/m);
  const [, ids = ''] = /^devices (.*)\r$/m.exec(lab.output()) ?? [];
  // virtio 1.2, section 5: network, two disks, entropy, balloon, socket.
  assert.deepEqual(ids.split(' ').sort(), ['0x0001', '0x0002', '0x0002', '0x0004', '0x0005', '0x0013']);
});

test('what is rendered is what --config-file takes', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-fc-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const spec = await specIn(directory);
  const document = firecrackerConfig({ ...spec, cmdline: `${spec.cmdline} rdinit=/bin/busybox -- sh -c "${LOOK}"` });
  writeFileSync(join(directory, 'vm.json'), JSON.stringify(document));
  const { stdout } = await promisify(execFile)(program, ['--no-api', '--level', 'Error', '--config-file', join(directory, 'vm.json')]);
  assert.match(stdout, /^cpus 1\r$/m);
});

test('Ctrl+Alt+Del ends the guest, and Firecracker with it; it says who it is and that it runs', { skip }, async (t) => {
  const lab = await start(t);
  await assert.rejects(vmm.connect(lab.spec.sockets, forever), { message: 'expected firecracker to run its guest, its state is Not started' });
  await vmm.boot(lab.spec, [], forever);
  const control = await vmm.connect(lab.spec.sockets, forever);
  await lab.wrote(/slicer-agent/);
  await control.powerButton();
  assert.equal(await lab.ended, 0);
  assert.match(lab.output(), /Restarting system/);
});

test('a guest that powers itself off ends Firecracker', { skip }, async (t) => {
  const lab = await start(t, (spec, directory) => {
    const initrd = join(directory, 'initrd');
    const late = cpioArchive([{ type: 'file', path: 'etc/init.d/late', mode: 0o755, data: Buffer.from('#!/bin/sh\nexec poweroff\n') }]);
    writeFileSync(initrd, Buffer.concat([readFileSync(spec.initrd as string), late]));
    return { ...spec, initrd };
  });
  await vmm.boot(lab.spec, [], forever);
  assert.equal(await lab.ended, 0);
});

test('a kernel command line that is as long as the driver lets it be is taken', { skip }, async (t) => {
  const lab = await start(t, (spec) => {
    const fits = (cmdline: string): boolean => vmm.problems({ ...spec, cmdline }).length === 0;
    let cmdline = `${spec.cmdline} x`;
    while (fits(`${cmdline}x`)) cmdline += 'x';
    return { ...spec, cmdline };
  });
  await vmm.boot(lab.spec, [], forever);
});

test('a guest can have as many devices as the driver lets it have, and no more', { skip }, async (t) => {
  for (const beyond of [0, 1]) {
    const lab = await start(t, (spec, directory) => {
      const path = join(directory, 'disk.raw');
      writeFileSync(path, '');
      truncateSync(path, MIB);
      const volumes = [{ path, readOnly: true }];
      while (vmm.problems({ ...spec, volumes: [...volumes, volumes[0]!] }).length === 0) volumes.push(volumes[0]!);
      return { ...spec, volumes };
    });
    const { volumes } = lab.spec;
    const booting = vmm.boot({ ...lab.spec, volumes: [...volumes, ...volumes.slice(0, beyond)] }, [], forever);
    if (beyond === 0) await booting;
    else await assert.rejects(booting, { message: /^the VMM answered PUT \/actions with status 400: / });
    lab.process.kill('SIGKILL');
    await lab.ended;
  }
});

test('what it refuses is what the fake refuses', { skip }, async (t) => {
  const { spec } = await start(t);
  await assertRefusals(spec.sockets.control);
});

test('its own refusal is told, and it runs on until it is ended', { skip }, async (t) => {
  const lab = await start(t);
  await assert.rejects(vmm.boot({ ...lab.spec, interfaces: [{ kind: 'tap', name: 'notthere0' }], kernel: '/not/there' }, [], forever), {
    code: 'launch_failed',
    message: /^the VMM answered PUT \/boot-source with status 400: .*The kernel file cannot be opened: No such file or directory/,
  });
  assert.equal(lab.process.exitCode, null);
});
