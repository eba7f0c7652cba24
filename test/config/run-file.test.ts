import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRunFile } from '../../src/config/run-file-load.ts';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import type { RunFile } from '../../src/config/run-file.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const parse = (text: string): RunFile => parseRunFile(text, { file: 'vm.yaml', directory: '/srv' });

function problemsOf(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof SlicerError) return error.problems.map(({ message }) => message);
    throw error;
  }
  return [];
}

test('a secret, or anything else, with a name that libraries drop in silence is refused', () => {
  assert.deepEqual(problemsOf('{"name": "db", "image": "tiny", "runtimeSecrets": {"__proto__": {}}}'), ['vm.yaml:1:52: expected another key than __proto__']);
  assert.deepEqual(problemsOf('name: db\nimage: tiny\n__proto__: 1\n'), ['vm.yaml:3:1: expected another key than __proto__']);
});

const FULL = `
name: db
hypervisor: qemu
machine: microvm
vcpu: 2
mem: 1024
kernel: vmlinux
initrd: /boot/initrd
cmdline: console=ttyS0 root=/dev/vda
volumes:
  - {image: data.img, size: 64, label: data, mountPoint: /data, fsType: xfs}
  - {image: /srv/ro.img, readOnly: true}
shares: [{tag: ro-store, socket: fs.sock, source: /nix/store, mountPoint: /nix/.ro-store, proto: virtiofs}]
interfaces:
  - {type: tap, id: vm-db, mac: 02:00:00:00:00:01}
  - {type: macvtap, id: mv0}
  - {type: user}
vsock: {cid: 7, socket: db.vsock}
balloon: {size: 64, deflateOnOOM: false}
watchdog: true
runtimeSecrets:
  api-key: {oemCredentialName: API_KEY, secretPath: /run/secrets/api, trimNewline: true, deliver: both}
  from-unit:
staticOEMStrings: ["io.systemd.credential:ENVIRONMENT=production"]
`;

test('a full file is resolved: bytes, absolute paths, defaults', () => {
  const { interfaces, ...rest } = parse(FULL);
  assert.deepEqual(rest, {
    name: 'db', vmm: { hypervisor: 'qemu', machine: 'microvm' }, cpus: 2, ramBytes: 1024 ** 3,
    boot: { kind: 'kernel', kernel: '/srv/vmlinux', initrd: '/boot/initrd', cmdline: 'console=ttyS0 root=/dev/vda' },
    volumes: [
      { path: '/srv/data.img', readOnly: false, create: { sizeBytes: 64 * 1024 ** 2, fsType: 'xfs', label: 'data' } },
      { path: '/srv/ro.img', readOnly: true, create: undefined },
    ],
    shares: [{ tag: 'ro-store', socket: '/srv/fs.sock' }],
    cid: 7, vsockSocket: '/srv/db.vsock', watchdog: true,
    balloon: { sizeBytes: 64 * 1024 ** 2, deflateOnOom: false, freePageReporting: true },
    secrets: [
      {
        path: '/run/secrets/api',
        wish: { name: 'API_KEY', secret: 'api-key', trimNewline: true, allowEmpty: false, allowReserved: false, deliver: 'both' },
      },
      { path: undefined, wish: { name: 'from-unit', secret: 'from-unit', trimNewline: false, allowEmpty: false, allowReserved: false } },
    ],
    staticOemStrings: ['io.systemd.credential:ENVIRONMENT=production'],
  });
  assert.deepEqual(interfaces.slice(0, 2), [{ kind: 'tap', name: 'vm-db', mac: '02:00:00:00:00:01' }, { kind: 'macvtap', name: 'mv0', mac: undefined }]);
});

test('what is left out has a default, and JSON is taken too', () => {
  const { vmm, cpus, ramBytes, boot, watchdog, balloon } = parse('{"name": "a", "image": "tiny"}');
  assert.deepEqual({ vmm, cpus, ramBytes, boot, watchdog, balloon }, {
    vmm: { hypervisor: 'qemu', machine: 'q35' }, cpus: 1, ramBytes: 512 * 1024 ** 2, watchdog: false, balloon: undefined,
    boot: { kind: 'image', image: 'tiny', cmdline: undefined },
  });
  assert.deepEqual(parse('{name: a, image: tiny, balloon: true}').balloon, { sizeBytes: 0, deflateOnOom: true, freePageReporting: true });
});

test('an interface without an address gets one that is its own, and the same at each start', () => {
  const macs = (name: string): unknown[] => parse(`{name: ${name}, image: tiny, interfaces: [{type: user}, {type: tap, id: t0}]}`)
    .interfaces.map(({ mac }) => mac);
  assert.equal(new Set([...macs('a'), ...macs('b')]).size, 4);
  assert.deepEqual(macs('a'), macs('a'));
  for (const mac of macs('a')) assert.match(String(mac), /^02(:[0-9a-f]{2}){5}$/);
});

const BASE = 'name: db\nimage: tiny\n';

/** What is added to a file that is right, and what each problem then says after `vm.yaml:`; none: it is taken. */
const CASES: readonly (readonly [string, ...RegExp[]])[] = [
  ['vcpu: 0', /^3:7: vcpu: expected an integer of 1 to 255, got 0$/],
  ['vcpu: 255'],
  ['mem: 63', /^3:6: mem: expected an integer of 64 to 4194304, got 63$/],
  ['mem: 64'],
  ['hypervisor: kvmtool', /expected one of qemu, cloud-hypervisor, firecracker, got "kvmtool"$/],
  ['hypervisor: firecracker'],
  ['hypervisor: firecracker\nmachine: q35', /^4:1: machine: is QEMU's, and hypervisor is firecracker$/],
  ['machine: microvm'],
  ['machine: pc', /expected one of q35, microvm, got "pc"$/],
  ['kernel: /boot/vmlinuz', /^3:1: kernel: is for guests of one's own/],
  ['initrd: /boot/initrd', /^3:1: initrd: is for guests of one's own/],
  ['cmdline: "a\\nb"', /^3:10: cmdline: expected one line/],
  ['config: {}', /^3:1: config: is the key of slicer\.yaml, which `slicer up` takes/],
  ['instances: {}', /^3:1: instances: is a key of an inventory/],
  ['runtimeSecret: {}', /^3:1: runtimeSecret: is no key of the top; did you mean "runtimeSecrets"$/],
  ['forwardPorts: []', /^3:1: forwardPorts: is a key of microvm\.nix that this version does not support$/],
  ['volumes: [{image: a.img, size: 1}]'],
  ['volumes: [{image: a.img}]', /^3:11: volumes\[0\]: expected size in MiB/],
  ['volumes: [{image: a.img, autoCreate: false}]'],
  ['volumes: [{image: a.img, readOnly: true}]'],
  ['volumes: [{size: 1}]', /^3:11: volumes\[0\]\.image: is missing; expected the path of a disk image$/],
  ['volumes: [{image: a, size: 1, fsType: ntfs}]', /expected one of ext4, ext3, ext2, xfs, btrfs, vfat, got "ntfs"$/],
  ['volumes: [{image: a, size: 1, label: -x}]', /label of 1 to 16 printable ASCII characters, not beginning with -, got "-x"$/],
  ['volumes: [{image: a, size: 1}, {image: a, size: 1}]', /^3:\d+: volumes\[1\]\.image: expected one of its own, got that of volumes\[0\]$/],
  ['volumes: [{image: a, size: 1, serial: x}]', /serial: is a key of microvm\.nix/],
  ['shares: [{tag: a}]', /shares\[0\]\.socket: is missing; expected the path of a virtiofsd's socket$/],
  ['shares: [{tag: a, socket: s, proto: 9p}]', /proto: expected virtiofs, got "9p"$/],
  [`shares: [{tag: ${'x'.repeat(36)}, socket: s}]`],
  [`shares: [{tag: ${'x'.repeat(37)}, socket: s}]`, /a tag of 1 to 36 printable ASCII characters/],
  ['interfaces: [{type: tap}]', /^3:14: interfaces\[0\]: expected id, the name of the tap interface, got none$/],
  ['interfaces: [{type: bridge, id: br0}]', /expected one of tap, macvtap, user, got "bridge"$/],
  [`interfaces: [{type: tap, id: ${'t'.repeat(15)}}]`],
  [`interfaces: [{type: tap, id: ${'t'.repeat(16)}}]`, /the name of an interface, 1 to 15 characters/],
  ['interfaces: [{type: tap, id: ../x}]', /the name of an interface/],
  ['interfaces: [{type: user, mac: "01:00:00:00:00:01"}]', /a MAC address of one station/],
  ['interfaces: [{type: user, mac: "02:00:00:00:00:0G"}]', /a MAC address of one station/],
  ['vsock: {cid: 2}', /expected an integer of 3 to 4294967294, got 2$/],
  ['vsock: {cid: 4294967295}', /expected an integer of 3 to 4294967294/],
  ['vsock: {port: 3}', /vsock\.port: is no key of vsock/],
  ['balloon: 5', /^3:10: balloon: expected true, false, or a map/],
  ['balloon: {sizes: 5}', /balloon: expected only the keys size, deflateOnOOM, freePageReporting$/],
  ['balloon: {size: -1}', /balloon\.size: expected an integer/],
  ['runtimeSecrets: {a: }'],
  ['runtimeSecrets: {a: {secretpath: /x}}', /^3:22: runtimeSecrets\.a\.secretpath: is no key of a secret; did you mean "secretPath"$/],
  ['runtimeSecrets: {a: {deliver: now}}', /expected one of boot, live, both, got "now"$/],
  ['runtimeSecrets: {a: {generateSecret: true}}', /generateSecret: is for an inventory, whose secrets are made/],
  ['runtimeSecrets: {a: {oemCredentialName: ssh.x}}', /credential "ssh\.x" is one of ssh\.\*/],
  ['runtimeSecrets: {a: {oemCredentialName: ssh.x, allowReserved: true}}'],
  ['runtimeSecrets: {a: {oemCredentialName: X}, b: {oemCredentialName: X}}', /credential "X" is there twice, for secrets "a" and "b"/],
  ['runtimeSecrets: {.a: {}}', /expected the name of a secret/],
  ['runtimeSecrets: [a]', /expected a map of secrets by their names/],
  ['staticOEMStrings: [""]', /expected a text of at least one character, without NUL$/],
  ['staticOEMStrings: ["a\\0b"]', /without NUL$/],
];

for (const [text, ...patterns] of CASES) {
  test(`a file with ${text.slice(0, 70).replaceAll('\n', ', ')} is ${patterns.length === 0 ? 'taken' : 'refused'}`, () => {
    const problems = problemsOf(BASE + text);
    assert.equal(problems.length, patterns.length, problems.join('\n'));
    for (const [index, pattern] of patterns.entries()) assert.match((problems[index] as string).replace(/^vm\.yaml:/, ''), pattern);
  });
}

test('all problems are reported at once, in the order of the file', () => {
  const problems = problemsOf('name: A_b\nmachine: q36\nvolumes: [{image: a}]\nruntimeSecrets: {a: {x: 1}}\n');
  assert.deepEqual(problems.map((problem) => problem.replace(/^vm\.yaml:(\d+):.*$/s, '$1')), ['1', '1', '2', '3', '4']);
});

test('a guest has an image or a kernel', () => {
  assert.match(problemsOf('name: a').join(), /expected image or kernel, got none/);
  assert.deepEqual(problemsOf('{name: a, kernel: k}'), []);
});

test('no text makes the reader throw anything but problems that stand in the file', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    for (const problem of problemsOf(text)) assert.match(problem, /^vm\.yaml:\d+:\d+: /);
  }));
});

test('what may be a value in the wrong place is not repeated', () => {
  const canary = 'canary-8c1f';
  for (const text of [
    `runtimeSecrets: {a: {oemCredentialName: "${canary}=x"}}`, `runtimeSecrets: {a: {secretPath: ["${canary}"]}}`,
    `staticOEMStrings: [{a: ${canary}}]`, `runtimeSecrets: {a: ${canary}}`,
  ]) {
    const problems = problemsOf(BASE + text);
    assert.ok(problems.length > 0, text);
    assert.ok(!problems.join().includes(canary), problems.join());
  }
});

test('a file on disk is read, and one that is not there is not found', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-run-file-'));
  try {
    writeFileSync(join(directory, 'vm.json'), '{"name": "a", "kernel": "k"}');
    assert.equal(((await readRunFile('vm.json', directory)).run?.boot as { kernel: string }).kernel, join(directory, 'k'));
    await assert.rejects(readRunFile('other.json', directory), { code: 'not_found' });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a file that a program wrote is read as one that a person wrote, and its problems have their places', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-run-file-'));
  try {
    const data = { name: 'a', kernel: 'k', vcpu: 2, runtimeSecrets: { key: { secretPath: 's', deliver: 'both' } } };
    writeFileSync(join(directory, 'compact.json'), `${JSON.stringify(data)}\n`);
    writeFileSync(join(directory, 'pretty.json'), JSON.stringify(data, undefined, 2));
    assert.deepEqual(await readRunFile('compact.json', directory), await readRunFile('pretty.json', directory));
    writeFileSync(join(directory, 'wrong.json'), '{"name":"a","kernel":"k","vcpu":"two"}');
    assert.match((await readRunFile('wrong.json', directory)).problems.map(({ message }) => message).join(), /^wrong\.json:1:33: vcpu: /);
    writeFileSync(join(directory, 'twice.json'), '{"name":"a","kernel":"k","vcpu":1,"vcpu":2}');
    assert.match((await readRunFile('twice.json', directory)).problems.map(({ message }) => message).join(), /^twice\.json:1:35: the key is there twice$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
