import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { VmmControl, VmSpec } from '../../src/vmm/contract.ts';
import { firecrackerConfig, firecrackerRequests } from '../../src/vmm/firecracker-config.ts';
import { firecrackerVmm } from '../../src/vmm/firecracker.ts';
import { fakeFirecracker, type FakeOptions, type Misbehaviour } from './fake-firecracker.ts';
import * as schemas from './fake-firecracker-schemas.ts';
import { assertRefusals, runFirecracker, type RunningFirecracker } from './running-firecracker.ts';

const MIB = 1024 * 1024;
const ADDED = 'reboot=k i8042.noaux i8042.nomux i8042.dumbkbd';

const full: VmSpec = {
  name: 'web-1',
  cpus: 2,
  ramBytes: 512 * MIB,
  kernel: '/cache/vmlinux',
  initrd: '/cache/initrd',
  cmdline: 'slicer.hostname=web-1 console=ttyS0 quiet rdinit=/bin/busybox -- sleep 100',
  volumes: [{ path: '/disks/root.raw', readOnly: true }, { path: '/disks/data.raw', readOnly: false }],
  shares: [],
  interfaces: [{ kind: 'tap', name: 'tap0', mac: '52:54:00:00:00:01' }, { kind: 'tap', name: 'tap1' }],
  balloon: { sizeBytes: 64 * MIB, deflateOnOom: true, freePageReporting: false },
  watchdog: false,
  accelerator: 'kvm',
  guestCid: 4711,
  vsock: { kind: 'vhost-device-vsock' },
  sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/control.sock' },
  bootSlots: [],
};
const vmm = firecrackerVmm('/usr/bin/firecracker');
const forever = new AbortController().signal;

test('a VM is one process, whose command line names it and its socket and nothing else', () => {
  assert.deepEqual(vmm.plan(full), [{
    role: 'vmm',
    program: '/usr/bin/firecracker',
    argv: ['--id', 'web-1', '--api-sock', '/run/s/control.sock', '--level', 'Error'],
    descriptors: [],
    readySocket: '/run/s/control.sock',
    filtersStderr: false,
  }]);
});

test('a full specification is exactly these requests', () => {
  assert.deepEqual(vmm.problems(full), []);
  assert.deepEqual(firecrackerRequests(firecrackerConfig(full)), [
    { path: '/machine-config', body: { vcpu_count: 2, mem_size_mib: 512 } },
    { path: '/boot-source', body: {
      kernel_image_path: '/cache/vmlinux', initrd_path: '/cache/initrd',
      boot_args: `slicer.hostname=web-1 console=ttyS0 quiet rdinit=/bin/busybox ${ADDED} -- sleep 100`,
    } },
    { path: '/vsock', body: { guest_cid: 4711, uds_path: '/run/s/vm.vsock' } },
    { path: '/entropy', body: {} },
    { path: '/balloon', body: { amount_mib: 64, deflate_on_oom: true, free_page_reporting: false } },
    { path: '/drives/volume_0', body: {
      drive_id: 'volume_0', is_root_device: false, cache_type: 'Unsafe', is_read_only: true, path_on_host: '/disks/root.raw',
    } },
    { path: '/drives/volume_1', body: {
      drive_id: 'volume_1', is_root_device: false, cache_type: 'Writeback', is_read_only: false, path_on_host: '/disks/data.raw',
    } },
    { path: '/network-interfaces/network_0', body: { iface_id: 'network_0', host_dev_name: 'tap0', guest_mac: '52:54:00:00:00:01' } },
    { path: '/network-interfaces/network_1', body: { iface_id: 'network_1', host_dev_name: 'tap1' } },
    { path: '/actions', body: { action_type: 'InstanceStart' } },
  ]);
});

test('the same as one document is what --config-file takes', () => {
  const document = firecrackerConfig(full);
  // Nothing was left out of what was read: each member is one that Firecracker knows.
  assert.deepEqual(Object.keys(schemas.config.parse(document)).sort(), Object.keys(document).sort());
});

test('what a specification does not have is in no request', () => {
  const { initrd, balloon, ...rest } = full;
  const requests = firecrackerRequests(firecrackerConfig({ ...rest, volumes: [], interfaces: [], cmdline: 'quiet' }));
  assert.deepEqual(requests.map(({ path }) => path), ['/machine-config', '/boot-source', '/vsock', '/entropy', '/actions']);
  assert.deepEqual(requests[1]!.body, { kernel_image_path: '/cache/vmlinux', boot_args: `quiet ${ADDED}` });
});

/** With what Firecracker adds for `full`, whose command line without its own words has this many bytes. */
const cmdlineOf = (bytes: number): string => 'x'.repeat(bytes);
const ROOM = 2048 - ` ${ADDED}`.length - ' pci=off'.length - 7 * ' virtio_mmio.device=4K@0xc0001000:23'.length - 1;

const disks = (count: number): VmSpec['volumes'] =>
  Array.from({ length: count }, (_, index) => ({ path: `/disks/${index}.raw`, readOnly: true }));

const refusals: Record<string, [Partial<VmSpec>, string]> = {
  'an OEM string': [{ bootSlots: [{ form: 'oem-string' }] }, 'Firecracker has no SMBIOS, which vm "web-1" asks for'],
  'a file of fw_cfg': [
    { bootSlots: [{ form: 'fw-cfg', name: 'opt/io.systemd.credentials/tls' }] },
    'Firecracker has no fw_cfg for "opt/io.systemd.credentials/tls", which vm "web-1" asks for',
  ],
  'a machine without KVM': [{ accelerator: 'tcg' }, 'Firecracker has no emulation, which vm "web-1" asks for'],
  'a share': [{ shares: [{ tag: 'src', socket: '/run/fs.sock' }] }, 'Firecracker has no virtiofs for the share "src", which vm "web-1" asks for'],
  'a user network': [{ interfaces: [{ kind: 'user' }] }, 'Firecracker has no network stack of its own (network: user), which vm "web-1" asks for'],
  'a macvtap': [
    { interfaces: [{ kind: 'macvtap', name: 'mv0', device: '/dev/tap7' }] },
    'Firecracker has no macvtap for "mv0", which vm "web-1" asks for',
  ],
  'a watchdog': [{ watchdog: true }, 'Firecracker has no watchdog, which vm "web-1" asks for'],
  '33 processors': [{ cpus: 33 }, 'vm "web-1" has 33 cpus; Firecracker takes 32'],
  'a 15th disk beside a balloon': [{ volumes: disks(15), interfaces: [] }, 'vm "web-1" has 18 virtio devices, its VSOCK and entropy devices with them; Firecracker takes 17'],
  'a balloon that leaves nothing': [
    { balloon: { sizeBytes: 512 * MIB, deflateOnOom: true, freePageReporting: false } },
    'the balloon of vm "web-1" takes 536870912 of its 536870912 bytes of memory; it must leave some',
  ],
  'a command line one byte too long': [
    { cmdline: cmdlineOf(ROOM + 1) },
    'the kernel command line of vm "web-1" is 2049 bytes with what Firecracker adds to it; the limit is 2048',
  ],
};
for (const [name, [change, message]] of Object.entries(refusals)) {
  test(`${name} is refused by name`, () => {
    const problems = vmm.problems({ ...full, ...change });
    assert.deepEqual(problems.map((problem) => [problem.code, problem.message]), [['invalid_request', message]]);
    assert.ok(problems[0]!.hint);
  });
}

test('what is lacking is told all at once, and what is at a limit is taken', () => {
  const spec: VmSpec = {
    ...full,
    bootSlots: [{ form: 'oem-string' }, { form: 'fw-cfg', name: 'a' }],
    accelerator: 'tcg',
    shares: [{ tag: 'src', socket: '/run/fs.sock' }],
    interfaces: [{ kind: 'user' }, { kind: 'macvtap', name: 'mv0', device: '/dev/tap7' }],
    watchdog: true,
    cpus: 33,
    cmdline: cmdlineOf(2048),
  };
  assert.equal(vmm.problems(spec).length, 9);
  const balloon = { sizeBytes: 511 * MIB, deflateOnOom: true, freePageReporting: false };
  assert.deepEqual(vmm.problems({ ...full, balloon, cpus: 32, cmdline: cmdlineOf(ROOM) }), []);
  assert.deepEqual(vmm.problems({ ...full, volumes: disks(14), interfaces: [] }), []);
});

interface Lab extends RunningFirecracker {
  readonly spec: VmSpec;
}

/** A Firecracker that runs, started as the driver plans it. */
async function start(t: TestContext, options: FakeOptions = {}): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-fc-'));
  const file = (name: string): string => {
    writeFileSync(join(directory, name), name);
    return join(directory, name);
  };
  const spec: VmSpec = {
    ...full,
    kernel: file('vmlinux'),
    initrd: file('initrd'),
    volumes: [{ path: file('root.raw'), readOnly: true }],
    sockets: { vsock: join(directory, 'vm.vsock'), vhost: join(directory, 'vhost.sock'), control: join(directory, 'control.sock') },
  };
  return { spec, ...await runFirecracker(t, fakeFirecracker(directory, options), spec, directory) };
}

const boot = ({ spec }: Lab, signal = forever): Promise<VmmControl> => vmm.boot(spec, [], signal);

test('Firecracker takes the requests in their order, starts the guest, and ends with 0 when asked by its keyboard', async (t) => {
  const requests = join(mkdtempSync(join(tmpdir(), 'slicer-fc-')), 'requests');
  t.after(() => rmSync(join(requests, '..'), { recursive: true }));
  const lab = await start(t, { requests });
  const control = await boot(lab);
  const seen = readFileSync(requests, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { path: string; method: string });
  assert.deepEqual(seen, firecrackerRequests(firecrackerConfig(lab.spec)).map((request) => ({ method: 'PUT', ...request })));
  assert.equal(control.ended, undefined);
  await control.powerButton();
  assert.equal(await lab.ended, 0);
  assert.match(lab.output(), new RegExp(`Command line: slicer.hostname=web-1 .* ${ADDED} -- sleep 100 pci=off\r\n`));
  await assert.rejects(control.powerButton(), { code: 'launch_failed', message: /socket could not be asked for PUT \/actions: ECONNREFUSED$/ });
  control.close();
});

test('one that runs its guest is connected to, and one that does not is not', async (t) => {
  const lab = await start(t);
  const adopt = (): Promise<VmmControl> => vmm.connect(lab.spec.sockets, forever);
  await assert.rejects(adopt(), { code: 'launch_failed', message: 'expected firecracker to run its guest, its state is Not started' });
  await boot(lab);
  const adopted = await adopt();
  await adopted.powerButton();
  assert.equal(await lab.ended, 0);
});

test('its own refusal is told by the request that it refused', async (t) => {
  const lab = await start(t);
  await assert.rejects(vmm.boot({ ...lab.spec, kernel: '/not/there' }, [], forever), {
    code: 'launch_failed',
    message: 'the VMM answered PUT /boot-source with status 400: '
      + '{"fault_message":"Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)"}',
  });
});

test('a guest that runs is not configured again', async (t) => {
  const lab = await start(t);
  await boot(lab);
  await assert.rejects(boot(lab), { message: /^the VMM answered PUT \/machine-config with status 400: .*not supported after starting/ });
});

const misbehaviours: Record<Misbehaviour, RegExp> = {
  400: /^the VMM answered PUT PATH with status 400: \{"fault_message":"Start microvm error: not today\."\}$/,
  500: /^the VMM answered PUT PATH with status 500: Resource temporarily unavailable \(os error 11\)$/,
  mute: /^enough$/,
  half: /^the VMM closed its API socket before it had answered PUT PATH$/,
  garbage: /^the VMM's answer to PUT PATH is no HTTP \(HPE_INVALID_CONSTANT\)$/,
  'hang-up': /^the VMM closed its API socket before it had answered PUT PATH$/,
  die: /^the VMM's API socket could not be asked for PUT \S+: (ECONNREFUSED|ENOENT)$|^the VMM closed its API socket before it had answered PUT \S+$/,
  'die-before': /^the VMM closed its API socket before it had answered PUT PATH$/,
};
for (const [how, message] of Object.entries(misbehaviours) as [Misbehaviour, RegExp][]) {
  for (const at of ['/machine-config', '/boot-source', '/drives/volume_0', '/actions']) {
    // Its death after it started the guest is not the driver's to notice.
    if (how === 'die' && at === '/actions') continue;
    test(`a Firecracker that answers ${at} with "${how}" fails the launch`, async (t) => {
      const lab = await start(t, { misbehaves: { at, how } });
      const limit = new AbortController();
      const booting = boot(lab, limit.signal);
      if (how === 'mute') setTimeout(() => limit.abort(new Error('enough')), 100);
      await assert.rejects(booting, (error: Error) => {
        assert.match(error.message, new RegExp(message.source.replaceAll('PATH', at)));
        return true;
      });
    });
  }
}

for (const [how, message] of [
  ['400', /status 400/], ['500', /status 500/], ['mute', /^enough$/], ['half', /closed its API socket/],
  ['garbage', /no HTTP/], ['hang-up', /closed its API socket/], ['die-before', /closed its API socket/],
] as const) {
  test(`a Firecracker that answers who it is with "${how}" is not connected to`, async (t) => {
    const lab = await start(t, { misbehaves: { at: '/', how } });
    const limit = new AbortController();
    const connecting = vmm.connect(lab.spec.sockets, limit.signal);
    if (how === 'mute') setTimeout(() => limit.abort(new Error('enough')), 100);
    await assert.rejects(connecting, { message });
  });
}

test('the fake refuses what Firecracker refuses', async (t) => {
  const { spec } = await start(t);
  await assertRefusals(spec.sockets.control);
});
