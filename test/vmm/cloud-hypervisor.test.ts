// What Cloud Hypervisor is told, and how its driver bears one that misbehaves: a program that speaks its
// API (fake-cloud-hypervisor.ts), started as the driver's plan says.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { encodeOemStrings } from '../../src/delivery/oem-strings.ts';
import { Secret } from '../../src/secret/secret.ts';
import { addedInterfaces, cloudHypervisorConfig } from '../../src/vmm/cloud-hypervisor-config.ts';
import { cloudHypervisorVmm } from '../../src/vmm/cloud-hypervisor.ts';
import type { Vmm, VmSpec } from '../../src/vmm/contract.ts';
import { landlockConfig } from '../../src/vmm/landlock.ts';
import { REQUEST_MAX_BYTES } from '../../src/vmm/vmm-api.ts';
import { installFakeCloudHypervisor, type Fault, type InstalledFake, type Misbehaviour } from './fake-cloud-hypervisor.ts';
import { assertRefusals, runCloudHypervisor, type RunningCloudHypervisor } from './running-cloud-hypervisor.ts';

const MIB = 1024 * 1024;
const POLL_MS = 5;
const CANARY = 'canary-Zk3v9Qw7';
const forever = new AbortController().signal;
const secret = (text: string): Secret => new Secret(Buffer.from(text));
const canary = encodeOemStrings([{ name: 'token', value: secret(CANARY) }]);
const encodedCanary = Buffer.from(CANARY).toString('base64');

const minimal: VmSpec = {
  name: 'web-1', cpus: 1, ramBytes: 192 * MIB, kernel: '/cache/vmlinux', cmdline: 'console=ttyS0', volumes: [], shares: [], interfaces: [],
  watchdog: false, accelerator: 'kvm', guestCid: 4711, vsock: { kind: 'vhost-device-vsock' },
  sockets: { vsock: '/run/s/vm.vsock', vhost: '/run/s/vhost.sock', control: '/run/s/control.sock' },
  bootSlots: [],
};
const full: VmSpec = {
  ...minimal, cpus: 2, ramBytes: 512 * MIB, initrd: '/cache/initrd', cmdline: 'console=ttyS0 quiet -- "a b"',
  volumes: [{ path: '/disks/root.raw', readOnly: true }, { path: '/disks/data, 2.raw', readOnly: false }],
  shares: [{ tag: 'store', socket: '/run/v/store.sock' }],
  interfaces: [{ kind: 'tap', name: 'tap0', mac: '02:00:00:00:00:01' }, { kind: 'tap', name: 'tap1' }],
  balloon: { sizeBytes: 128 * MIB, deflateOnOom: true, freePageReporting: false },
  watchdog: true,
  bootSlots: [{ form: 'oem-string' }, { form: 'oem-string' }],
};
const pure = cloudHypervisorVmm({ cloudHypervisor: '/usr/bin/cloud-hypervisor', agent: '/usr/lib/slicer-agent' }, 'x86_64');

test('a VM is one process, whose command line holds the path of its API socket and nothing else', () => {
  assert.deepEqual(pure.plan(full), [{
    role: 'vmm',
    program: '/usr/bin/cloud-hypervisor',
    argv: ['--api-socket', 'path=/run/s/control.sock'],
    descriptors: [],
    readySocket: '/run/s/control.sock',
    filtersStderr: true,
  }]);
});

for (const [control, option] of [
  ['/a,b/c.sock', 'path="/a,b/c.sock"'], ['/[x]/c.sock', 'path="/[x]/c.sock"'], ['/"q"/c.sock', 'path="/""q""/c.sock"'],
] as const) {
  test(`the socket ${control} is quoted, and so is no other option`, () => {
    assert.deepEqual(pure.plan({ ...minimal, sockets: { ...minimal.sockets, control } })[0]?.argv, ['--api-socket', option]);
  });
}

test('a VM with everything is told in exactly this JSON', () => {
  assert.deepEqual(cloudHypervisorConfig(full, [...canary, secret('static "string", with é')]), {
    cpus: { boot_vcpus: 2, max_vcpus: 2 },
    memory: { size: 536870912, shared: true },
    payload: { kernel: '/cache/vmlinux', initramfs: '/cache/initrd', cmdline: 'console=ttyS0 quiet -- "a b"' },
    disks: [
      { path: '/disks/root.raw', readonly: true, num_queues: 2, image_type: 'Raw' },
      { path: '/disks/data, 2.raw', readonly: false, num_queues: 2, image_type: 'Raw' },
    ],
    net: [{ tap: 'tap0', mac: '02:00:00:00:00:01', num_queues: 4 }, { tap: 'tap1', num_queues: 4 }],
    fs: [{ tag: 'store', socket: '/run/v/store.sock' }],
    rng: { src: '/dev/urandom' },
    balloon: { size: 134217728, deflate_on_oom: true, free_page_reporting: false },
    vsock: { cid: 4711, socket: '/run/s/vm.vsock' },
    watchdog: true,
    serial: { mode: 'Tty' },
    console: { mode: 'Off' },
    platform: { oem_strings: [`io.systemd.credential.binary:token=${encodedCanary}`, 'static "string", with é'] },
  });
});

test('a VM with nothing more than it needs has no empty parts', () => {
  assert.deepEqual(cloudHypervisorConfig(minimal, []), {
    cpus: { boot_vcpus: 1, max_vcpus: 1 },
    memory: { size: 201326592, shared: false },
    payload: { kernel: '/cache/vmlinux', cmdline: 'console=ttyS0' },
    rng: { src: '/dev/urandom' },
    vsock: { cid: 4711, socket: '/run/s/vm.vsock' },
    watchdog: false,
    serial: { mode: 'Tty' },
    console: { mode: 'Off' },
  });
});

test('interfaces keep their order where one has descriptors: it and all after it are added one by one', () => {
  const macvtap = { kind: 'macvtap', name: 'mv0', device: '/dev/tap7' } as const;
  const [first, second] = full.interfaces;
  const spec = { ...full, interfaces: [first!, macvtap, second!] };
  assert.deepEqual(cloudHypervisorConfig(spec, []).net, [{ tap: 'tap0', mac: '02:00:00:00:00:01', num_queues: 4 }]);
  assert.deepEqual(addedInterfaces(spec), [macvtap, second]);
  assert.equal(cloudHypervisorConfig({ ...full, interfaces: [macvtap] }, []).net, undefined);
});

const slots = (count: number): VmSpec['bootSlots'] => Array.from({ length: count }, () => ({ form: 'oem-string' }));
const lacking: [string, Partial<VmSpec>, string[]][] = [
  ['nothing', full, []],
  ['emulation', { accelerator: 'tcg' }, ['Cloud Hypervisor has no emulation, which vm "web-1" asks for']],
  ['a network stack', { interfaces: [{ kind: 'user' }] }, ['Cloud Hypervisor has no network stack of its own (network: user), which vm "web-1" asks for']],
  ['fw_cfg', { bootSlots: [{ form: 'fw-cfg', name: 'opt/a' }] }, ['Cloud Hypervisor has no fw_cfg for "opt/a", which vm "web-1" asks for']],
  ['room for 255 OEM strings', { bootSlots: slots(255) }, []],
  ['room for 256 OEM strings', { bootSlots: slots(256) }, ['vm "web-1" has 256 OEM strings; Cloud Hypervisor takes 255']],
  ['a tag of 36 bytes', { shares: [{ tag: 'é'.repeat(18), socket: '/s' }] }, []],
  ['a tag of 37 bytes', { shares: [{ tag: `${'é'.repeat(18)}x`, socket: '/s' }] },
    [`the share "${'é'.repeat(18)}x" of vm "web-1" has a tag of 37 bytes; virtiofs takes 36`]],
  ['a balloon that leaves a MiB', { balloon: { sizeBytes: 191 * MIB, deflateOnOom: false, freePageReporting: false } }, []],
  ['a balloon of all its memory', { balloon: { sizeBytes: 192 * MIB, deflateOnOom: false, freePageReporting: false } },
    ['the balloon of vm "web-1" takes 201326592 of its 201326592 bytes of memory; it must leave some']],
  ['two things', { accelerator: 'tcg', interfaces: [{ kind: 'user' }] }, [
    'Cloud Hypervisor has no emulation, which vm "web-1" asks for',
    'Cloud Hypervisor has no network stack of its own (network: user), which vm "web-1" asks for',
  ]],
];

for (const [what, change, messages] of lacking) {
  test(`asked for ${what} it ${messages.length === 0 ? 'has no problem' : 'is refused by name'}`, () => {
    assert.deepEqual(pure.problems({ ...minimal, ...change }).map(({ message }) => message), messages);
  });
}

test('a request of 51,200 bytes has no problem, and one byte more is refused before anything is started', () => {
  const [strings, value] = [slots(1), new Secret(Buffer.alloc(45_000, 'x'))];
  const sizeOf = (spec: VmSpec): number => JSON.stringify({ ...cloudHypervisorConfig(spec, [value]), ...landlockConfig(spec) }).length;
  const of = (cmdline: string): VmSpec => ({ ...minimal, bootSlots: strings, cmdline });
  const room = 51_200 - sizeOf(of(''));
  assert.deepEqual(pure.problems(of('c'.repeat(room)), [value]), []);
  const problems = pure.problems(of('c'.repeat(room + 1)), [value]);
  assert.deepEqual(problems.map(({ message }) => message),
    ['vm "web-1" is a request of 51201 bytes with all that goes over its boot channel; Cloud Hypervisor takes 51200']);
});

test('OEM strings are refused on aarch64, where they would be dropped in silence', () => {
  const arm = cloudHypervisorVmm({ cloudHypervisor: '/c', agent: '/a' }, 'aarch64');
  assert.deepEqual(arm.problems({ ...minimal, bootSlots: slots(3) }).map(({ message }) => message),
    ['Cloud Hypervisor has no SMBIOS on aarch64, which vm "web-1" asks for']);
  assert.deepEqual(arm.problems(minimal), []);
});

test('no value is in a plan or a problem, whatever it is', () => {
  const value = fc.uint8Array({ minLength: 6, maxLength: 200 });
  fc.assert(fc.property(value, fc.boolean(), (bytes, tooMany) => {
    const [string] = encodeOemStrings([{ name: 'x', value: new Secret(bytes) }]);
    const text = Buffer.from(string!.reveal()).toString();
    const spec = { ...full, bootSlots: slots(tooMany ? 300 : 1) };
    const shown = JSON.stringify([pure.plan(spec), pure.problems(spec)]);
    assert.ok(!shown.includes(text.split('=').slice(1).join('=')));
    assert.deepEqual(cloudHypervisorConfig(spec, [string!]).platform?.oem_strings, [text]);
  }));
});

// From here on with a process.

interface Started extends RunningCloudHypervisor {
  readonly vmm: Vmm;
  readonly spec: VmSpec;
  readonly fake: InstalledFake;
  readonly directory: string;
}

async function start(t: TestContext, misbehaviour: Misbehaviour = {}, change: (directory: string) => Partial<VmSpec> = () => ({})): Promise<Started> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-ch-'));
  const fake = installFakeCloudHypervisor(directory, misbehaviour);
  const spec: VmSpec = {
    ...minimal, kernel: join(directory, 'vmlinux'),
    sockets: { vsock: join(directory, 'vm.vsock'), vhost: join(directory, 'vhost.sock'), control: join(directory, 'control, 1.sock') },
    bootSlots: [{ form: 'oem-string' }], ...change(directory),
  };
  writeFileSync(spec.kernel, 'ELF');
  const vmm = cloudHypervisorVmm({ cloudHypervisor: fake.program, agent: '/not/there' }, 'x86_64');
  return { vmm, spec, fake, directory, ...await runCloudHypervisor(t, vmm, spec, directory) };
}

test('a guest boots, is found by who comes later, and is gone with its sockets after the power button', async (t) => {
  const { vmm, spec, fake, ended, output, directory } = await start(t);
  await vmm.boot(spec, canary, forever);
  assert.ok(existsSync(spec.sockets.vsock));
  const control = await vmm.connect(spec.sockets, forever);
  assert.equal(control.ended, undefined);
  await control.powerButton();
  assert.equal(await ended, 0);
  control.close();
  assert.deepEqual(fake.requests(), ['PUT vm.create', 'PUT vm.boot', 'GET vmm.ping', 'PUT vm.power-button']);
  assert.deepEqual(readdirSync(directory).filter((name) => /sock/.test(name)), ['control, 1.sock.lock']);
  assert.match(output(), /Command line: console=ttyS0/);
  await assert.rejects(control.powerButton(), { message: 'the VMM\'s API socket could not be asked for PUT /api/v1/vm.power-button: ENOENT' });
});

test('nothing that it is told has a member that it does not know', async (t) => {
  const { vmm, spec, fake } = await start(t, {}, (directory) => {
    const volumes = ['a', 'b'].map((name) => ({ path: join(directory, name), readOnly: false }));
    for (const { path } of volumes) writeFileSync(path, '');
    const virtiofsd = createServer().listen(join(directory, 'fs.sock'));
    t.after(() => virtiofsd.close());
    return {
      ...full, kernel: join(directory, 'vmlinux'), initrd: '/dev/null', volumes, bootSlots: [{ form: 'oem-string' }],
      shares: [{ tag: 'store', socket: join(directory, 'fs.sock') }],
      sockets: { vsock: join(directory, 'v'), vhost: '', control: join(directory, 'c') },
    };
  });
  await vmm.boot(spec, canary, forever);
  assert.deepEqual(fake.requests(), ['PUT vm.create', 'PUT vm.boot']);
});

const answers: Record<Fault, RegExp> = {
  '400': /^the VMM answered PUT \S+ with status 400: \["Failed to deserialize JSON","unknown field"\]$/,
  '500': /^the VMM answered PUT \S+ with status 500: \["Error from API","The VM could not boot","Out of luck"\]$/,
  echo: /^the VMM answered PUT \S+ with status 400: invalid type: string "/,
  nothing: /^it hangs$/,
  half: /^the VMM closed its API socket before it had answered PUT \S+$/,
  garbage: /^the VMM's answer to PUT \S+ is no HTTP \(HPE_\w+\)$/,
  die: /^the VMM closed its API socket before it had answered PUT \S+$/,
  'die-after': /^the VMM('s API socket could not be asked for| closed its API socket before it had answered) PUT \/api\/v1\/vm\.boot/,
};

for (const request of ['vm.create', 'vm.boot'] as const) {
  for (const fault of Object.keys(answers) as Fault[]) {
    // Once it has answered the last request it is booted; that it then dies is for who watches it.
    if (request === 'vm.boot' && fault === 'die-after') continue;
    test(`a VMM that answers ${request} with ${fault} fails the boot, with nothing of a value`, async (t) => {
      const { vmm, spec, fake } = await start(t, { faults: { [request]: fault } });
      const hangs = new AbortController();
      if (fault === 'nothing') void asked(fake, `PUT ${request}`).then(() => hangs.abort(new Error('it hangs')));
      await assert.rejects(vmm.boot(spec, canary, hangs.signal), (error: Error & { code?: string }) => {
        assert.match(error.message, answers[fault]);
        if (fault !== 'nothing') assert.equal(error.code, 'launch_failed');
        const shown = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
        assert.ok(!shown.includes(encodedCanary) && !shown.includes(CANARY));
        return true;
      });
    });
  }
}

/** Resolves when a request was made. */
async function asked(fake: InstalledFake, request: string): Promise<void> {
  while (!fake.requests().includes(request)) await delay(POLL_MS);
}

test('a guest that can\'t boot says why', async (t) => {
  const { vmm, spec } = await start(t);
  rmSync(spec.kernel);
  await assert.rejects(vmm.boot(spec, canary, forever), {
    code: 'launch_failed',
    message: 'the VMM answered PUT /api/v1/vm.boot with status 500: '
      + '["Error from API","The VM could not boot","Cannot open kernel file","No such file or directory (os error 2)"]',
  });
});

for (const size of [REQUEST_MAX_BYTES - 1, REQUEST_MAX_BYTES, REQUEST_MAX_BYTES + 1]) {
  const fits = size <= REQUEST_MAX_BYTES;
  test(`a configuration of ${size} bytes ${fits ? 'boots' : 'is refused before anything is sent'}`, async (t) => {
    const { vmm, spec, fake } = await start(t);
    const rest = Buffer.byteLength(JSON.stringify(cloudHypervisorConfig(spec, [secret('')])));
    const booted = vmm.boot(spec, [secret('x'.repeat(size - rest))], forever);
    if (fits) await booted;
    else {
      await assert.rejects(booted, {
        code: 'launch_failed', message: `the body of PUT /api/v1/vm.create is ${size} bytes; the VMM takes ${REQUEST_MAX_BYTES}`,
      });
    }
    assert.deepEqual(fake.requests(), fits ? ['PUT vm.create', 'PUT vm.boot'] : []);
  });
}

test('what answers a ping with something else is no Cloud Hypervisor', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-ch-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'control.sock');
  const other = createHttp((_, response) => response.end('{"version":1}')).listen(path);
  t.after(() => other.close());
  await assert.rejects(pure.connect({ ...minimal.sockets, control: path }, forever), {
    code: 'launch_failed', message: 'what listens on the control socket is no Cloud Hypervisor',
  });
});

test('a macvtap that is not there is named', async (t) => {
  const { vmm, spec } = await start(t, {}, () => ({ interfaces: [{ kind: 'macvtap', name: 'no-such-link', device: '/not/there' }] }));
  await assert.rejects(vmm.boot(spec, canary, forever), {
    code: 'launch_failed', message: 'macvtap "no-such-link" with /not/there can\'t be opened: ENOENT',
  });
});

test('a share that nobody serves is named before anything is sent', async (t) => {
  const { vmm, spec, fake } = await start(t, {}, (directory) => ({ shares: [{ tag: 'store', socket: join(directory, 'fs.sock') }] }));
  const { socket } = spec.shares[0]!;
  await assert.rejects(vmm.boot(spec, canary, forever), { code: 'launch_failed', message: `no virtiofsd serves the share "store" at ${socket}: ENOENT` });
  writeFileSync(socket, '');
  await assert.rejects(vmm.boot(spec, canary, forever), { message: `no virtiofsd serves the share "store" at ${socket}: it is no socket` });
  assert.deepEqual(fake.requests(), []);
});

test('the fake refuses what the real one does, and has its limits', async (t) => {
  const { spec, ended } = await start(t);
  await assertRefusals(spec.sockets.control);
  assert.equal(await ended, 0);
});
