import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import type { RunFile } from '../../src/config/run-file.ts';
import type { BootItem } from '../../src/delivery/boot-items.ts';
import { planDelivery } from '../../src/delivery/plan.ts';
import { deliveryVmOf, guestNotifies } from '../../src/run/delivery.ts';
import { specOf } from '../../src/run/spec.ts';
import { Secret } from '../../src/secret/secret.ts';

const parse = (text: string): RunFile => parseRunFile(text, { file: 'vm.yaml', directory: '/srv' });
const file = (line: string): RunFile =>
  parse(`name: db\nkernel: k\nruntimeSecrets: {a: {}, b: {deliver: boot}, c: {deliver: live}, d: {deliver: both}}\n${line}`);
const secrets = new Map(['a', 'b', 'c', 'd'].map((name) => [name, { value: new Secret(Buffer.from('x')) }])) as never;

/** Secrets over the firmware, as live credentials, and as live files. */
const channels = (line: string, arch: 'x86_64' | 'aarch64' = 'x86_64'): string => {
  const vm = deliveryVmOf(file(line), arch);
  const { bootCredentials, liveCredentials, problems } = planDelivery(vm, secrets);
  return `${bootCredentials.map(({ name }) => name).join('')} ${liveCredentials.map(({ name }) => name).join('')} ${[...vm.grant].join('')} ${problems.length}`;
};

test('a secret goes over the firmware where there is a way, and what goes live is a file and a credential', () => {
  for (const line of ['', 'machine: microvm', 'hypervisor: cloud-hypervisor']) assert.equal(channels(line), 'abd cd cd 0', line);
});

test('where there is no boot channel a secret goes live, and one that may not is refused', () => {
  assert.equal(channels('hypervisor: firecracker').replace(/ \d+$/, ''), ' acd acd');
  assert.equal(channels('hypervisor: firecracker').endsWith(' 0'), false);
  assert.equal(channels('hypervisor: cloud-hypervisor', 'aarch64').replace(/ \d+$/, ''), ' acd acd');
});

test('a guest says itself that it is up where it can be told whom to tell', () => {
  assert.deepEqual(
    ['', 'machine: microvm', 'hypervisor: cloud-hypervisor', 'hypervisor: firecracker'].map((line) => guestNotifies(file(line), 'x86_64')),
    [true, true, true, false],
  );
  assert.equal(guestNotifies(parse('{name: a, image: tiny}'), 'x86_64'), false);
  assert.equal(guestNotifies(parse('{name: a, image: debian}'), 'x86_64'), true);
  assert.equal(guestNotifies(parse('{name: a, image: debian, runtimeSecrets: {n: {oemCredentialName: vmm.notify_socket, allowReserved: true}}}'), 'x86_64'), false);
});

test('its address counts among what Slicer sends itself', () => {
  const used = (port?: number): number | undefined => planDelivery(deliveryVmOf(file(''), 'x86_64', port), secrets).budgets.strings?.used;
  assert.equal(used(8888), (used() as number) + 1);
});

test('a VMM is told what the file says, the image\'s disks first and read-only', () => {
  const items: BootItem[] = [{ form: 'oem-string', value: new Secret(Buffer.from('s')) }];
  const spec = specOf(parse(`
name: db
image: debian
vcpu: 2
mem: 256
volumes: [{image: data.img, size: 1}]
shares: [{tag: t, socket: s.sock}]
balloon: {size: 16}
watchdog: true
`), {
    boot: { kernel: '/k', initrd: '/i', cmdline: 'quiet', disks: ['/disk'] }, items, interfaces: [{ kind: 'tap', name: 't0' }], accelerator: 'kvm', tscKhz: undefined,
    guestCid: 5, vsock: { kind: 'vhost-device-vsock' }, sockets: { vsock: '/v', vhost: '/h', control: '/c' },
  });
  assert.deepEqual(spec, {
    name: 'db', cpus: 2, ramBytes: 256 * 1024 ** 2, kernel: '/k', initrd: '/i', cmdline: 'slicer.hostname=db quiet',
    volumes: [{ path: '/disk', readOnly: true }, { path: '/srv/data.img', readOnly: false }], shares: [{ tag: 't', socket: '/srv/s.sock' }],
    interfaces: [{ kind: 'tap', name: 't0' }], balloon: { sizeBytes: 16 * 1024 ** 2, deflateOnOom: true, freePageReporting: true }, watchdog: true,
    accelerator: 'kvm', guestCid: 5, vsock: { kind: 'vhost-device-vsock' }, sockets: { vsock: '/v', vhost: '/h', control: '/c' }, bootSlots: [{ form: 'oem-string' }],
  });
});
