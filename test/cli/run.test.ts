// What `slicer run`, `check`, `explain` and `render` say of a run file that is wrong, or whose secrets are:
// every problem at once, nothing of a value, and nothing made or started.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { chooseRuntimeDirectory, memoryDirectories } from '../../src/vm/runtime-directory.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const uid = process.geteuid?.() as number;
const CANARY = 'canary-value-73e1';

const put = (name: string, value: string, mode = 0o600): void => {
  writeFileSync(join(directory, name), value);
  chmodSync(join(directory, name), mode);
};

const VM = 'kernel: kernel\nmem: 192\nruntimeSecrets:\n';

before(() => {
  const programs = join(directory, 'programs');
  mkdirSync(programs);
  for (const program of ['qemu-system-x86_64', 'cloud-hypervisor', 'firecracker', 'vhost-device-vsock']) writeFileSync(join(programs, program), '', { mode: 0o755 });
  environment['PATH'] = `${programs}:${environment['PATH']}`;
  put('kernel', 'a kernel');
  put('good', `${CANARY}\n`);
  put('read', CANARY, 0o604);
  put('written', CANARY, 0o620);
  put('empty', '');
  put('big', CANARY.repeat(10_000));
  symlinkSync('good', join(directory, 'link'));
  mkdirSync(join(directory, 'folder'));
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  put('bad.yaml', `name: bad\nhypervisor: qemu\n${VM}${['gone', 'link', 'folder', 'pipe', 'read', 'written', 'empty', 'big', 'good']
    .map((name) => `  s-${name}: {secretPath: ${name}}\n`).join('')}  nowhere:\n`);
  put('good.yaml', `name: good\n${VM}  key: {secretPath: good, trimNewline: true}\n  both: {secretPath: good, oemCredentialName: BOTH, deliver: both}\nstaticOEMStrings: ["hello, world"]\n`);
  put('ch.yaml', `name: ch\nhypervisor: cloud-hypervisor\nvsock: {cid: 7, socket: ch.vsock}\n${VM}  key: {secretPath: good}\n`);
  put('fc.yaml', `name: fc\nhypervisor: firecracker\nvsock: {cid: 7, socket: fc.vsock}\ncmdline: console=ttyS0\n${VM}  key: {secretPath: good}\n`);
  put('wrong.json', '{"name": "x", "image": "tiny", "memm": 5}');
  put('boot.yaml', `name: fc\nhypervisor: firecracker\nkernel: kernel\nruntimeSecrets: {key: {secretPath: good, deliver: boot}}\nwatchdog: true\nshares: [{tag: t, socket: s}]\n`);
});

transcript('a file that is wrong is refused with every problem and its place', `
$ slicer run wrong.json
! slicer: error: wrong.json:1:32: memm: is no key of the top; did you mean "mem"
? 2
$ slicer check wrong.json
! slicer: error: wrong.json:1:32: memm: is no key of the top; did you mean "mem"
? 2
$ slicer run gone.yaml
! slicer: error: "gone.yaml" does not exist
! slicer: hint: slicer run --help
? 4
$ slicer run
! slicer: error: missing required argument "vm"
! slicer: hint: slicer run --help
? 2
`);

const SECRETS = `slicer: error: secret "s-link": DIR/link is a symbolic link
slicer: hint: name the file that it leads to
slicer: error: secret "s-folder": DIR/folder is a directory, expected a regular file
slicer: hint: ls -ld DIR/folder
slicer: error: secret "s-pipe": DIR/pipe is a pipe, expected a regular file
slicer: hint: ls -ld DIR/pipe
slicer: error: secret "s-read": DIR/read has mode 0604
slicer: hint: others may do nothing with it, nor the group write: chmod 0400 DIR/read
slicer: error: secret "s-written": DIR/written has mode 0620
slicer: hint: others may do nothing with it, nor the group write: chmod 0400 DIR/written
`;
const PLAN = `slicer: error: secret "s-empty" is empty, and credential "s-empty" of vm "bad" is not said to be so
slicer: hint: write the value into its file, or say that it is meant: allowEmpty: true
`;

const plain = (text: string): string => text.replaceAll(directory, 'DIR');

test('secrets that are not right are all told of, and no VM, directory or process is there', async () => {
  const files = readdirSync(directory).sort();
  const { code, stderr, stdout } = await run('slicer run bad.yaml');
  assert.equal(code, 4);
  assert.equal(stdout.toString(), '');
  const said = plain(stderr);
  assert.ok(said.startsWith(`slicer: error: secret "s-gone": DIR/gone does not exist\nslicer: hint: install -m 0400 /dev/stdin DIR/gone\n${SECRETS}`), said);
  assert.ok(said.includes('slicer: error: secret "nowhere" has no secretPath, and is not in $CREDENTIALS_DIRECTORY\n'), said);
  assert.ok(said.includes(PLAN), said);
  assert.match(said, /slicer: error: secret "s-big" is \d+ bytes as an OEM string for credential "s-big"; the table of vm "bad" has \d+, \d+ used\nslicer: hint: deliver this one over the live channel: deliver: live\n/);
  assert.ok(!stderr.includes(CANARY));
  assert.deepEqual(readdirSync(directory).sort(), files);
  const claimed = join(await chooseRuntimeDirectory('slicer run', uid, memoryDirectories({})), 'bad');
  assert.equal(existsSync(claimed), false);
});

test('for `check` a source that is not there is a warning, and one that is not right an error', async () => {
  const { code, stderr } = await run('slicer check bad.yaml');
  assert.notEqual(code, 0);
  const said = plain(stderr);
  assert.ok(said.startsWith('slicer: warning: secret "s-gone": DIR/gone does not exist; install -m 0400 /dev/stdin DIR/gone\nslicer: warning: secret "nowhere"'), said);
  assert.ok(said.includes(SECRETS), said);
  assert.ok(!stderr.includes(CANARY));
});

test('`check` and `explain` show the plan of a run file, which the launch is made by', async () => {
  const { code, stdout, stderr } = await run('slicer check good.yaml && slicer explain good.yaml key --json');
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /^good\.yaml: no problems; vm: good\n\nvm "good" on QEMU q35\n/);
  assert.match(stdout.toString(), /^key +17 +boot +OEM string +credential key +\d+$/m);
  assert.match(stdout.toString(), /^both +18 +live +file +\/run\/slicer\/secrets\/both +-$/m);
  assert.match(stdout.toString(), /"vm": "good"/);
  assert.ok(!(stdout.toString() + stderr).includes(CANARY));
});

test('faults of a file hide none of what is wrong on this machine with the rest of it', async () => {
  writeFileSync(join(directory, 'faulty.yaml'), `
name: faulty
image: tiny
vcpus: 2
interfaces: [{type: tap, id: no-such-if}, {type: tap}]
volumes: [{image: /nonexistent/disk, readOnly: true}, {image: 5}]
runtimeSecrets: {s-folder: {secretPath: folder}, s-gone: {secretPath: gone}, wrong: {secretPaht: x}}
`);
  const FILE = `slicer: error: faulty.yaml:4:1: vcpus: is no key of the top; did you mean "vcpu"
slicer: error: faulty.yaml:5:43: interfaces[1]: expected id, the name of the tap interface, got none
slicer: error: faulty.yaml:6:55: volumes[1]: expected size in MiB, for when the image is made, or autoCreate: false; got neither
slicer: error: faulty.yaml:6:63: volumes[1].image: expected the path of a disk image, got 5
slicer: error: faulty.yaml:7:86: runtimeSecrets.wrong.secretPaht: is no key of a secret; did you mean "secretPath"
slicer: error: secret "s-folder": DIR/folder is a directory, expected a regular file
slicer: hint: ls -ld DIR/folder
`;
  const REST = `slicer: error: secret "s-gone": DIR/gone does not exist
slicer: hint: install -m 0400 /dev/stdin DIR/gone
slicer: error: there is no interface "no-such-if"
slicer: hint: ip tuntap add no-such-if mode tap user USER
slicer: error: the disk /nonexistent/disk does not exist
slicer: hint: to have it made: size: MIB, and neither autoCreate: false nor readOnly
`;
  for (const command of ['run', 'render --format=qemu-args']) {
    const { code, stderr } = await run(`slicer ${command} faulty.yaml`);
    assert.deepEqual([code, plain(stderr)], [2, FILE + REST], command);
  }
  const { stderr } = await run('slicer check faulty.yaml');
  const warnings = REST.replaceAll('\nslicer: hint: ', '; ').replaceAll('error', 'warning');
  assert.equal(plain(stderr), warnings + FILE);
});

test('wrong usage is told with the next command', async () => {
  assert.match((await run('slicer run --stop-grace=5 good.yaml')).stderr, /^slicer: hint: slicer run --help$/m);
  assert.match((await run('slicer render --format=firecracker-json good.yaml')).stderr, /^slicer: hint: slicer render --format=qemu-args$/m);
});

test('what a VMM lacks is refused by its name', async () => {
  for (const command of ['run', 'check', 'render --format=firecracker-json']) {
    const { code, stderr } = await run(`slicer ${command} boot.yaml`);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /deliver: boot/, command);
  }
  const { stderr } = await run('slicer check boot.yaml');
  assert.match(stderr, /Firecracker has no virtiofs for the share "t", which vm "fc" asks for/);
  assert.match(stderr, /Firecracker has no watchdog/);
});

test('render qemu-args puts values into files for the caller alone, and prints arguments that a shell takes', async () => {
  const { code, stdout, stderr } = await run('slicer render --format=qemu-args --directory=out good.yaml');
  assert.equal(code, 0, stderr);
  const files = readdirSync(join(directory, 'out')).sort();
  assert.deepEqual(files, ['boot-slot-0', 'boot-slot-1', 'boot-slot-2']);
  assert.equal(statSync(join(directory, 'out')).mode & 0o777, 0o700);
  for (const file of files) assert.equal(statSync(join(directory, 'out', file)).mode & 0o777, 0o600);
  assert.equal(readFileSync(join(directory, 'out/boot-slot-0'), 'latin1'), `io.systemd.credential.binary:key=${Buffer.from(CANARY).toString('base64')}`);
  assert.equal(readFileSync(join(directory, 'out/boot-slot-2'), 'latin1'), 'hello, world');
  assert.ok(!(stdout.toString() + stderr).includes(CANARY));
  const argv = execFileSync('xargs', ['printf', '%s\\n'], { input: stdout }).toString();
  assert.match(argv, new RegExp(`\n-smbios\ntype=11,path=${directory}/out/boot-slot-0\n`));
  assert.match(argv, /\n-append\nslicer\.hostname=good console=ttyS0 panic=-1\n/);
  assert.match(stderr, /slicer: note: start before it: \S+\/vhost-device-vsock --guest-cid \d+ /);
  assert.match(stderr, /slicer: note: delivered live: slicer attach --name=good --vsock=\S+\/out\/vm\.vsock --secret=both, from a store that has them; as files, no credentials/);
  const again = await run('slicer render --format=qemu-args --directory=out good.yaml');
  assert.equal(again.code, 2);
  assert.match(again.stderr, /\/out is not empty: a VM that was rendered before may use it/);
  rmSync(join(directory, 'out'), { recursive: true });
});

test('render cloud-hypervisor-json holds values, and so goes to no terminal', async () => {
  const { code, stdout, stderr } = await run('slicer render --format=cloud-hypervisor-json --directory=ch ch.yaml');
  assert.equal(code, 0, stderr);
  const config = JSON.parse(stdout.toString()) as { platform: { oem_strings: string[] }; vsock: unknown };
  assert.deepEqual(config.platform.oem_strings, [`io.systemd.credential.binary:key=${Buffer.from(`${CANARY}\n`).toString('base64')}`]);
  assert.deepEqual(config.vsock, { cid: 7, socket: join(directory, 'ch.vsock') });
  rmSync(join(directory, 'ch'), { recursive: true });
  const terminal = await run(`script -qec 'slicer render --format=cloud-hypervisor-json --directory=ch ch.yaml' /dev/null < /dev/null`);
  assert.match(terminal.stdout.toString(), /slicer: error: the JSON would hold values, and stdout is a terminal/);
  assert.ok(!terminal.stdout.toString().includes(Buffer.from(CANARY).toString('base64').slice(0, 12)));
  assert.equal(existsSync(join(directory, 'ch')), false);
});

for (const [bytes, isWhole] of [[51_200, true], [51_201, false]] as const) {
  test(`render cloud-hypervisor-json of ${bytes} bytes ${isWhole ? 'is whole, without indentation' : 'is refused, as its API would'}`, async () => {
    const render = async (cmdlineBytes: number) => {
      put('full.yaml', `name: full\nhypervisor: cloud-hypervisor\nvsock: {cid: 7, socket: ch.vsock}\ncmdline: ${'c'.repeat(cmdlineBytes)}\n${VM}  key: {secretPath: most}\n`);
      return run('slicer render --format=cloud-hypervisor-json --directory=full full.yaml');
    };
    put('most', 'x'.repeat(35_000));
    const { stdout } = await render(1);
    const rest = JSON.stringify(JSON.parse(stdout.toString())).length - 1;
    rmSync(join(directory, 'full'), { recursive: true });
    const { code, stdout: full, stderr } = await render(bytes - rest);
    assert.deepEqual([code, full.length], isWhole ? [0, bytes] : [1, 0], stderr);
    assert.equal(existsSync(join(directory, 'full')), isWhole);
    if (isWhole) rmSync(join(directory, 'full'), { recursive: true });
    else assert.equal(stderr, 'slicer: error: the body of PUT /api/v1/vm.create is 51201 bytes; the VMM takes 51200\n');
  });
}

test('render firecracker-json is a configuration file without a value', async () => {
  const { code, stdout, stderr } = await run('slicer render --format=firecracker-json --directory=fc fc.yaml');
  assert.equal(code, 0, stderr);
  const config = JSON.parse(stdout.toString()) as Record<string, Record<string, unknown>>;
  assert.equal(config['boot-source']?.['kernel_image_path'], join(directory, 'kernel'));
  assert.deepEqual(config['vsock'], { guest_cid: 7, uds_path: join(directory, 'fc.vsock') });
  assert.ok(!stdout.toString().includes(CANARY));
  assert.match(stderr, /delivered live: slicer attach --name=fc --vsock=\S+fc\.vsock --secret=key/);
  rmSync(join(directory, 'fc'), { recursive: true });
});

test('a format that is another VMM\'s is refused', async () => {
  const { code, stderr } = await run('slicer render --format=qemu-args ch.yaml');
  assert.equal(code, 2);
  assert.match(stderr, /qemu-args is for hypervisor: qemu; vm "ch" has cloud-hypervisor/);
});
