import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { qemuVmm } from '../../src/vmm/qemu.ts';

const programs = {
  qemu: '/usr/bin/qemu-system-x86_64', vhostDeviceVsock: '/usr/bin/vhost-device-vsock', agent: '/usr/lib/slicer/slicer-agent-x86_64',
};
const vmm = qemuVmm('q35', programs);
const microvm = qemuVmm('microvm', programs);

const spec: VmSpec = {
  name: 'web-1',
  cpus: 2,
  ramBytes: 512 * 1024 * 1024,
  kernel: '/cache/vmlinuz',
  initrd: '/cache/initrd.gz',
  cmdline: 'console=ttyS0 quiet',
  volumes: [],
  shares: [],
  interfaces: [],
  watchdog: false,
  accelerator: 'tcg',
  guestCid: 4711,
  vsock: { kind: 'vhost-device-vsock' },
  sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/control.sock' },
  bootSlots: [{ form: 'oem-string' }],
};

/** Options with their values, one a line. */
const lines = (argv: readonly string[]): string[] => argv.join(' ').split(/ (?=-[a-z])/);

test('a VM is its VSOCK device and then QEMU, with exactly these options', () => {
  const [vsock, qemu, ...rest] = vmm.plan(spec);
  assert.deepEqual(rest, []);
  assert.deepEqual(vsock, {
    role: 'vsock',
    program: '/usr/bin/vhost-device-vsock',
    argv: ['--guest-cid', '4711', '--socket', '/run/s/vhost.sock', '--uds-path', '/run/s/vm.vsock', '--tx-buffer-size', '31744'],
    descriptors: [],
    readySocket: '/run/s/vhost.sock',
    filtersStderr: false,
  });
  assert.deepEqual({ ...qemu, argv: lines(qemu!.argv) }, {
    role: 'vmm',
    program: '/usr/bin/qemu-system-x86_64',
    argv: [
      '-name web-1',
      '-no-user-config',
      '-nodefaults',
      '-display none',
      '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
      '-machine q35,accel=tcg,memory-backend=memory,smbios-entry-point-type=32,usb=off,vmport=off,dump-guest-core=off',
      '-cpu qemu64,-cx16,+rdrand',
      '-smp 2',
      '-m 512M',
      '-object memory-backend-memfd,id=memory,size=512M,share=on',
      '-kernel /cache/vmlinuz',
      '-initrd /cache/initrd.gz',
      '-append console=ttyS0 quiet',
      '-smbios type=11,path=/dev/fd/3',
      '-chardev stdio,id=console,signal=off',
      '-serial chardev:console',
      '-chardev socket,id=control,path=/run/s/control.sock,server=on,wait=off',
      '-mon chardev=control,mode=control',
      '-chardev socket,id=vsock,path=/run/s/vhost.sock',
      '-device pcie-root-port,id=vsock-port,chassis=1,slot=1',
      '-device vhost-user-vsock-pci,id=vsock-device,chardev=vsock,bus=vsock-port',
      '-object rng-builtin,id=rng',
      '-device virtio-rng-pci,rng=rng',
    ],
    descriptors: [{ kind: 'boot-slot', index: 0 }],
    readySocket: '/run/s/control.sock',
    filtersStderr: false,
  });
});

test('KVM brings the processor of the host', () => {
  const argv = lines(vmm.plan({ ...spec, accelerator: 'kvm' })[1]!.argv);
  assert.ok(argv.includes('-cpu host'));
  assert.ok(argv.some((option) => option.startsWith('-machine q35,accel=kvm,')));
});

test('a network is there only when asked for', () => {
  const argv = lines(vmm.plan({ ...spec, interfaces: [{ kind: 'user', mac: '52:54:00:aa:bb:cc' }] })[1]!.argv);
  assert.deepEqual(argv.slice(-2), ['-netdev user,id=network-0', '-device virtio-net-pci,netdev=network-0,mac=52:54:00:aa:bb:cc,romfile=']);
});

const everything: VmSpec = {
  ...spec,
  volumes: [{ path: '/disks/a,b.raw', readOnly: true }, { path: '/disks/data.raw', readOnly: false }],
  shares: [{ tag: 'store', socket: '/run/s/store.sock' }],
  interfaces: [{ kind: 'tap', name: 'vm-a', mac: '52:54:00:00:00:01' }, { kind: 'macvtap', name: 'vm-b', device: '/dev/tap7', mac: '52:54:00:00:00:02' }],
  balloon: { sizeBytes: 0, deflateOnOom: true, freePageReporting: false },
};

test('q35 has its disks, shares, interfaces, balloon and watchdog on PCI', () => {
  const qemu = vmm.plan({ ...everything, watchdog: true })[1]!;
  const argv = lines(qemu.argv);
  assert.deepEqual(argv.slice(argv.indexOf('-device virtio-rng-pci,rng=rng') + 1), [
    '-blockdev driver=raw,node-name=volume-0,read-only=on,file.driver=file,file.filename=/disks/a,,b.raw',
    '-device virtio-blk-pci,drive=volume-0',
    '-blockdev driver=raw,node-name=volume-1,read-only=off,file.driver=file,file.filename=/disks/data.raw',
    '-device virtio-blk-pci,drive=volume-1',
    '-chardev socket,id=share-0,path=/run/s/store.sock',
    '-device vhost-user-fs-pci,chardev=share-0,tag=store',
    '-netdev tap,id=network-0,ifname=vm-a,script=no,downscript=no',
    '-device virtio-net-pci,netdev=network-0,mac=52:54:00:00:00:01,romfile=',
    '-netdev tap,id=network-1,fd=4',
    '-device virtio-net-pci,netdev=network-1,mac=52:54:00:00:00:02,romfile=',
    '-device virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=off',
    '-device i6300esb',
    '-action watchdog=reset',
  ]);
  // The descriptor of the macvtap follows those of the boot slots.
  assert.deepEqual(qemu.descriptors, [{ kind: 'boot-slot', index: 0 }, { kind: 'device', path: '/dev/tap7' }]);
});

test('microvm has its devices on MMIO, and its credentials in fw_cfg with slots enough', () => {
  const slots = ['slicer.boot-token', 'b,c'].map((name) => ({ form: 'fw-cfg' as const, name: `opt/io.systemd.credentials/${name}` }));
  const qemu = microvm.plan({ ...everything, bootSlots: slots })[1]!;
  const argv = lines(qemu.argv);
  assert.deepEqual(argv.filter((option) => /^-(machine|global|fw_cfg|smbios)/.test(option)), [
    '-machine microvm,accel=tcg,memory-backend=memory,acpi=on,pcie=off,usb=off,auto-kernel-cmdline=off,dump-guest-core=off',
    '-global fw_cfg_io.x-file-slots=34',
    '-fw_cfg name=opt/io.systemd.credentials/slicer.boot-token,file=/dev/fd/3',
    '-fw_cfg name=opt/io.systemd.credentials/b,,c,file=/dev/fd/4',
  ]);
  assert.deepEqual(argv.filter((option) => option.startsWith('-device')), [
    '-device vhost-user-vsock-device,id=vsock-device,chardev=vsock', '-device virtio-rng-device,rng=rng',
    '-device virtio-blk-device,drive=volume-0', '-device virtio-blk-device,drive=volume-1',
    '-device vhost-user-fs-device,chardev=share-0,tag=store',
    '-device virtio-net-device,netdev=network-0,mac=52:54:00:00:00:01', '-device virtio-net-device,netdev=network-1,mac=52:54:00:00:00:02',
    '-device virtio-balloon-device,deflate-on-oom=on,free-page-reporting=off',
  ]);
});

test("with the host kernel's VSOCK a relay of the agent's comes first", () => {
  const [relay, qemu] = vmm.plan({ ...spec, vsock: { kind: 'kernel', hostPort: 321 } });
  assert.deepEqual(relay, {
    role: 'vsock',
    program: '/usr/lib/slicer/slicer-agent-x86_64',
    argv: ['vsock', '--cid', '4711', '--port', '321', '--uds-path', '/run/s/vm.vsock'],
    descriptors: [],
    readySocket: '/run/s/vm.vsock',
    filtersStderr: false,
    capability: 'net_bind_service',
  });
  assert.ok(lines(qemu!.argv).includes('-device vhost-vsock-pci,id=vsock-device,guest-cid=4711,bus=vsock-port'));
  assert.ok(!qemu!.argv.some((option) => option.includes('vhost.sock')));
});

test('what a machine lacks is refused by its name', () => {
  const watched = { ...spec, watchdog: true, bootSlots: [] };
  assert.deepEqual(vmm.problems({ ...spec, watchdog: true }), []);
  assert.deepEqual(microvm.problems(watched).map(({ message }) => message), ['QEMU microvm has no watchdog, which vm "web-1" asks for']);
  assert.deepEqual(microvm.problems(spec).map(({ message }) => message), ['QEMU microvm has no SMBIOS, which vm "web-1" asks for']);
});

test('interfaces without an address have one each, of their own and always the same', () => {
  const interfaces = [{ kind: 'user' }, { kind: 'user' }] as const;
  const addresses = (name: string): (string | undefined)[] => vmm.plan({ ...spec, name, interfaces })[1]!.argv
    .flatMap((option) => /mac=(52:54:00:[0-9a-f:]{8})/.exec(option)?.[1] ?? []);
  assert.equal(new Set([...addresses('a'), ...addresses('b')]).size, 4);
  assert.deepEqual(addresses('a'), addresses('a'));
});

test('each OEM string has a descriptor of its own, from 3 on', () => {
  const qemu = vmm.plan({ ...spec, bootSlots: Array.from({ length: 3 }, () => ({ form: 'oem-string' as const })) })[1]!;
  assert.deepEqual(lines(qemu.argv).filter((option) => option.startsWith('-smbios')), [
    '-smbios type=11,path=/dev/fd/3', '-smbios type=11,path=/dev/fd/4', '-smbios type=11,path=/dev/fd/5',
  ]);
  assert.deepEqual(qemu.descriptors, [0, 1, 2].map((index) => ({ kind: 'boot-slot', index })));
});

test('a comma in a path is no end of an option', () => {
  const sockets = { vsock: '/a,b/vm.vsock', vhost: '/a,b/vhost.sock', control: '/a,b/control.sock' };
  const argv = lines(vmm.plan({ ...spec, sockets })[1]!.argv);
  assert.ok(argv.includes('-chardev socket,id=vsock,path=/a,,b/vhost.sock'));
  assert.ok(argv.includes('-chardev socket,id=control,path=/a,,b/control.sock,server=on,wait=off'));
});
