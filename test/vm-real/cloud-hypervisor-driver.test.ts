// Cloud Hypervisor's driver and the real Cloud Hypervisor: what the guest finds of a full specification, how it
// ends, its limits, and that the fake of other tests refuses what the real one does.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findAgent } from '../../image/agent.ts';
import { findCommand } from '../../image/command.ts';
import { HOST_ARCH } from '../../image/compiler.ts';
import { findTinyImage } from '../../image/tiny.ts';
import { encodeOemStrings } from '../../src/delivery/oem-strings.ts';
import { Secret } from '../../src/secret/secret.ts';
import { cloudHypervisorConfig } from '../../src/vmm/cloud-hypervisor-config.ts';
import { cloudHypervisorVmm } from '../../src/vmm/cloud-hypervisor.ts';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { findLandlock, landlockConfig } from '../../src/vmm/landlock.ts';
import { REQUEST_MAX_BYTES, vmmRequest } from '../../src/vmm/vmm-api.ts';
import { assertRefusals, runCloudHypervisor, type RunningCloudHypervisor } from '../vmm/running-cloud-hypervisor.ts';
import { missingFor } from './variant.ts';

const MIB = 1024 * 1024;
const VIRTIOFSD = '/usr/libexec/virtiofsd';
const AGAIN_MS = 2_000;

const skip = await missingFor({ title: 'Cloud Hypervisor', hypervisor: 'cloud-hypervisor' });
const vmm = cloudHypervisorVmm({
  cloudHypervisor: findCommand('cloud-hypervisor') ?? '', agent: skip === false ? findAgent(HOST_ARCH) : '',
}, 'x86_64');
const forever = new AbortController().signal;
const text = (value: string): Secret => new Secret(Buffer.from(value));

interface Lab extends RunningCloudHypervisor {
  readonly spec: VmSpec;
  readonly directory: string;
}

/** A Cloud Hypervisor that was told nothing yet. */
async function start(t: TestContext, change: (spec: VmSpec, directory: string) => VmSpec = (spec) => spec): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-ch-'));
  const image = await findTinyImage();
  const spec = change({
    name: 'web-1', cpus: 1, ramBytes: 192 * MIB, kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline,
    volumes: [], shares: [], interfaces: [], watchdog: false, accelerator: 'kvm', guestCid: 4711, vsock: { kind: 'vhost-device-vsock' },
    sockets: { vsock: join(directory, 'vm.vsock'), vhost: join(directory, 'vhost.sock'), control: join(directory, 'control, 1.sock') },
    bootSlots: [],
  }, directory);
  assert.deepEqual(vmm.problems(spec), []);
  return { spec, directory, ...await runCloudHypervisor(t, vmm, spec, directory) };
}

/** In place of init. Without `=` and double quotes, which the kernel takes for its own. */
const inPlaceOfInit = (spec: VmSpec, commands: string): VmSpec => ({ ...spec, cmdline: `${spec.cmdline} rdinit=/bin/busybox -- sh -c "${commands}"` });
const MOUNTS = 'mount -t proc p /proc; mount -t sysfs s /sys';
const STRINGS = 'echo strings $(sha256sum < /sys/firmware/dmi/entries/11-0/raw)';

/** SMBIOS 3.7, 7.12: what the guest finds of OEM strings. Types 0 and 1 are before it. */
function tableOf(strings: readonly Secret[]): string {
  const body = strings.flatMap((value) => [value.reveal(), Buffer.of(0)]);
  return createHash('sha256').update(Buffer.concat([Buffer.of(11, 5, 3, 0, strings.length), ...body, Buffer.of(0)])).digest('hex');
}

const ip = (t: TestContext, words: string, undo: string): void => {
  execFileSync('ip', words.split(' '));
  t.after(() => execFileSync('ip', undo.split(' ')));
};

test('the guest finds what a full specification says, and ends Cloud Hypervisor by its power-off', { skip }, async (t) => {
  for (const name of ['slicertest0', 'slicertest1']) {
    ip(t, `tuntap add dev ${name} mode tap multi_queue`, `link delete ${name}`);
  }
  ip(t, 'tuntap add dev slicertest2 mode tap', 'link delete slicertest2');
  execFileSync('ip', 'link add link slicertest2 name slicertest3 type macvtap'.split(' '));
  const macvtap = readFileSync('/sys/class/net/slicertest3/ifindex', 'latin1').trim();
  const strings = encodeOemStrings([{ name: 'a', value: text('hello') }, { name: 'b', value: new Secret(new Uint8Array(3000).fill(255)) }]);
  const lab = await start(t, (spec, directory) => {
    const disk = (name: string): string => {
      writeFileSync(join(directory, name), '');
      truncateSync(join(directory, name), MIB);
      return join(directory, name);
    };
    return inPlaceOfInit({
      ...spec,
      cpus: 2, ramBytes: 257 * MIB,
      volumes: [{ path: disk('root.raw'), readOnly: true }, { path: disk('data, 1.raw'), readOnly: false }],
      shares: [{ tag: 'store', socket: join(directory, 'fs.sock') }],
      interfaces: [
        { kind: 'tap', name: 'slicertest0', mac: '52:54:00:00:00:01' },
        { kind: 'macvtap', name: 'slicertest3', device: `/dev/tap${macvtap}` },
        { kind: 'tap', name: 'slicertest1' },
      ],
      balloon: { sizeBytes: 16 * MIB, deflateOnOom: true, freePageReporting: true },
      watchdog: true,
      bootSlots: strings.map(() => ({ form: 'oem-string' })),
    }, `${MOUNTS}; echo cpus $(nproc); echo devices $(cat /sys/bus/pci/devices/*/device); ${STRINGS}; poweroff -f`);
  });
  const shared = mkdtempSync(join(lab.directory, 'shared-'));
  const virtiofsd = spawn(VIRTIOFSD, ['--socket-path', lab.spec.shares[0]!.socket, '--shared-dir', shared, '--sandbox', 'none'], { stdio: 'ignore' });
  t.after(() => virtiofsd.kill());
  while (!existsSync(lab.spec.shares[0]!.socket)) await delay(5);
  await vmm.boot(lab.spec, strings, forever);
  assert.equal(await lab.ended, 0);
  assert.match(lab.output(), /^cpus 2\r$/m);
  const [, ids = ''] = /^devices (.*)\r$/m.exec(lab.output()) ?? [];
  // virtio 1.2, 4.1.2: 0x1040 and the device's number. In this order, after the host bridge: two disks, three
  // networks, entropy, virtiofs, socket, balloon, watchdog (35).
  assert.deepEqual(ids.split(' '), [
    '0x0d57', '0x1042', '0x1042', '0x1041', '0x1041', '0x1041', '0x1044', '0x105a', '0x1053', '0x1045', '0x1063',
  ]);
  assert.match(lab.output(), new RegExp(`^strings ${tableOf(strings)} `, 'm'));
  for (const seen of [lab.output(), lab.errors()]) assert.doesNotMatch(seen, /io\.systemd|aGVsbG8/);
});

test('255 strings in a request of 51,200 bytes arrive whole', { skip }, async (t) => {
  const strings = Array.from({ length: 254 }, (_, index) => text(`io.systemd.credential.binary:c${index}=${'QUJD'.repeat(40)}`));
  const { spec, ended, output } = await start(t, (plain) =>
    inPlaceOfInit({ ...plain, bootSlots: Array.from({ length: 255 }, () => ({ form: 'oem-string' })) }, `${MOUNTS}; ${STRINGS}; poweroff -f`));
  const confinement = await findLandlock() ? landlockConfig(spec) : {};
  const rest = JSON.stringify({ ...cloudHypervisorConfig(spec, [...strings, text('')]), ...confinement }).length;
  strings.push(text('y'.repeat(REQUEST_MAX_BYTES - rest)));
  await vmm.boot(spec, strings, forever);
  assert.equal(await ended, 0);
  assert.match(output(), new RegExp(`^strings ${tableOf(strings)} `, 'm'));
});

test('the power button ends the guest, and Cloud Hypervisor with it and its sockets', { skip }, async (t) => {
  const lab = await start(t);
  await vmm.boot(lab.spec, [], forever);
  const control = await vmm.connect(lab.spec.sockets, forever);
  await lab.wrote(/slicer-agent/);
  // A guest that is not ready for it yet does not hear it.
  let over = false;
  void lab.ended.then(() => (over = true));
  while (!over) {
    await control.powerButton().catch((error: Error) => assert.match(error.message, /closed|could not be asked/));
    await Promise.race([lab.ended, delay(AGAIN_MS)]);
  }
  assert.equal(await lab.ended, 0);
  assert.match(lab.output(), /reboot: Power down/);
  assert.deepEqual(readdirSync(lab.directory), ['control, 1.sock.lock']);
});

test('a reset gives the guest a new machine in the same process, and ends its VSOCK connections', { skip }, async (t) => {
  const lab = await start(t);
  await vmm.boot(lab.spec, [], forever);
  await lab.wrote(/slicer-agent/);
  const dial = async (): Promise<ReturnType<typeof connect>> => {
    const socket = connect(lab.spec.sockets.vsock);
    socket.write('CONNECT 900\n');
    assert.match(String((await once(socket, 'data'))[0]), /^OK /);
    return socket;
  };
  const closed = once((await dial()).on('error', () => undefined), 'close');
  await vmmRequest(lab.spec.sockets, 'PUT', '/api/v1/vm.reboot', undefined, forever);
  await closed;
  await lab.wrote(/slicer-agent[^]*slicer-agent/);
  (await dial()).destroy();
  assert.equal(lab.process.exitCode, null);
  lab.process.kill('SIGTERM');
  assert.equal(await lab.ended, 0);
});

const noLandlock = skip || (await findLandlock() ? false : 'the kernel has no Landlock of version 3, or securityfs is not mounted');
test('Landlock keeps it from a file that is not its VM\'s, which all may read and write', { skip: noLandlock }, async (t) => {
  const addDisk = async (lab: Lab): Promise<void> => {
    const path = join(mkdtempSync(join(tmpdir(), 'slicer-other-')), 'disk.raw');
    t.after(() => rmSync(dirname(path), { recursive: true }));
    chmodSync(dirname(path), 0o755);
    writeFileSync(path, new Uint8Array(MIB));
    chmodSync(path, 0o666);
    await vmmRequest(lab.spec.sockets, 'PUT', '/api/v1/vm.add-disk', { path, image_type: 'Raw' }, forever);
  };
  const confined = await start(t);
  await vmm.boot(confined.spec, [], forever);
  const { landlock_enable: isOn } = (await vmmRequest(confined.spec.sockets, 'GET', '/api/v1/vm.info', undefined, forever) as { config: { landlock_enable: boolean } }).config;
  assert.equal(isOn, true);
  await assert.rejects(addDisk(confined), { code: 'launch_failed', message: /disk/i });

  // It is Landlock that keeps it from that: without, it takes the disk.
  const other = await start(t);
  await vmmRequest(other.spec.sockets, 'PUT', '/api/v1/vm.create', cloudHypervisorConfig(other.spec, []), forever);
  await vmmRequest(other.spec.sockets, 'PUT', '/api/v1/vm.boot', undefined, forever);
  await addDisk(other);
});

test('what it refuses is what the fake refuses', { skip }, async (t) => {
  const { spec, ended } = await start(t);
  await assertRefusals(spec.sockets.control);
  assert.equal(await ended, 0);
});

const refusals: [string, (spec: VmSpec, directory: string) => VmSpec, RegExp][] = [
  ['a kernel that is not there', (spec) => ({ ...spec, kernel: '/not/there' }), /"Cannot open kernel file","No such file or directory \(os error 2\)"/],
  ['a kernel that is none', (spec) => ({ ...spec, kernel: spec.initrd as string }), /"Cannot load the kernel into memory"/],
  ['a disk that is not there', (spec) => ({ ...spec, volumes: [{ path: '/not/there', readOnly: true }] }), /"Cannot open disk path","I\/O error \(path=\/not\/there op=open\)"/],
  ['a socket that is taken', (spec, directory) => ({ ...spec, sockets: { ...spec.sockets, vsock: directory } }), /"Address already in use \(os error 98\)"/],
];
for (const [what, change, message] of refusals) {
  test(`${what} is told, and it runs on until it is ended`, { skip }, async (t) => {
    const lab = await start(t, change);
    await assert.rejects(vmm.boot(lab.spec, [], forever), { code: 'launch_failed', message });
    assert.equal(lab.process.exitCode, null);
  });
}
