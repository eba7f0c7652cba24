import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { qemuVmm } from '../../src/vmm/qemu.ts';

const vmm = qemuVmm({ qemu: '/usr/bin/qemu-system-x86_64', vhostDeviceVsock: '/usr/bin/vhost-device-vsock' });

const spec: VmSpec = {
  name: 'web-1',
  cpus: 2,
  ramBytes: 512 * 1024 * 1024,
  kernel: '/cache/vmlinuz',
  initrd: '/cache/initrd.gz',
  cmdline: 'console=ttyS0 quiet',
  network: 'none',
  accelerator: 'tcg',
  guestCid: 4711,
  sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/qmp.sock' },
  oemStringCount: 1,
};

/** Options with their values, one a line. */
const lines = (argv: readonly string[]): string[] => argv.join(' ').split(/ (?=-[a-z])/);

test('a VM is its VSOCK device and then QEMU, with exactly these options', () => {
  const [vsock, qemu, ...rest] = vmm.plan(spec);
  assert.deepEqual(rest, []);
  assert.deepEqual(vsock, {
    role: 'vsock',
    program: '/usr/bin/vhost-device-vsock',
    argv: ['--guest-cid', '4711', '--socket', '/run/s/vhost.sock', '--uds-path', '/run/s/vm.vsock'],
    descriptors: [],
    readySocket: '/run/s/vhost.sock',
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
      '-chardev socket,id=control,path=/run/s/qmp.sock,server=on,wait=off',
      '-mon chardev=control,mode=control',
      '-chardev socket,id=vsock,path=/run/s/vhost.sock',
      '-device pcie-root-port,id=vsock-port,chassis=1,slot=1',
      '-device vhost-user-vsock-pci,id=vsock-device,chardev=vsock,bus=vsock-port',
      '-object rng-builtin,id=rng',
      '-device virtio-rng-pci,rng=rng',
    ],
    descriptors: [{ kind: 'oem-string', index: 0 }],
    readySocket: '/run/s/qmp.sock',
  });
});

test('KVM brings the processor of the host', () => {
  const argv = lines(vmm.plan({ ...spec, accelerator: 'kvm' })[1]!.argv);
  assert.ok(argv.includes('-cpu host'));
  assert.ok(argv.some((option) => option.startsWith('-machine q35,accel=kvm,')));
});

test('a network is there only when asked for', () => {
  const argv = lines(vmm.plan({ ...spec, network: 'user' })[1]!.argv);
  assert.deepEqual(argv.slice(-2), ['-netdev user,id=network', '-device virtio-net-pci,netdev=network,romfile=']);
});

test('each OEM string has a descriptor of its own, from 3 on', () => {
  const qemu = vmm.plan({ ...spec, oemStringCount: 3 })[1]!;
  assert.deepEqual(lines(qemu.argv).filter((option) => option.startsWith('-smbios')), [
    '-smbios type=11,path=/dev/fd/3', '-smbios type=11,path=/dev/fd/4', '-smbios type=11,path=/dev/fd/5',
  ]);
  assert.deepEqual(qemu.descriptors.map(({ index }) => index), [0, 1, 2]);
});

test('a comma in a path is no end of an option', () => {
  const sockets = { vsock: '/a,b/vm.vsock', vhost: '/a,b/vhost.sock', control: '/a,b/qmp.sock' };
  const argv = lines(vmm.plan({ ...spec, sockets })[1]!.argv);
  assert.ok(argv.includes('-chardev socket,id=vsock,path=/a,,b/vhost.sock'));
  assert.ok(argv.includes('-chardev socket,id=control,path=/a,,b/qmp.sock,server=on,wait=off'));
});
