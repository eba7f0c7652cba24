// `slicer run` with guests that really boot: both channels, readiness, and every way to end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { compile, Foreground, guestWith } from './foreground-vm.ts';
import { MISSING_COMPILER, MISSING_DEBIAN } from './parts.ts';
import { LIMIT_MS } from './patience.ts';
import { allProcesses, isAlive, isVsockDevice, untilEnded } from './processes.ts';
import { filesBelow, find, type Place } from './search.ts';

const VALUES = { boot: 'canary-boot-51e0c7a9d3b', live: 'canary-live-8f2b6d40e17', both: 'canary-both-c93a5e7f160', unit: 'canary-unit-07d4b8e2fa9' } as const;
const RANDOM = randomBytes(9_000);

const skip = MISSING_COMPILER;
const foreground = new Foreground();
after(() => foreground.close());

const sha256 = (value: string | Uint8Array): string => createHash('sha256').update(value).digest('hex');

/** Prints what the guest has of both channels, and tells the host that it is up. */
const SCRIPT = `
while [ ! -e /run/credstore/BOTH ] || [ ! -e /run/slicer/secrets/both ]; do usleep 50000; done
strings() { tr '\\0' '\\n' < /sys/firmware/dmi/entries/11-0/raw; }
credential() { strings | sed -n "s/^io.systemd.credential.binary:$1=//p" | base64 -d; }
for name in BOOT RANDOM UNIT BOTH; do echo "boot $name $(credential $name | sha256sum)"; done
for name in /run/slicer/secrets/* /run/credstore/*; do echo "live $name $(sha256sum < $name) $(stat -c %a $name)"; done
echo "static $(strings | grep hello)"
address=$(credential vmm.notify_socket)
/bin/notifier \${address##*:} "$(printf 'READY=1\\nSTATUS=\\033[31mup\\nMAINPID=1\\nFDSTORE=1')"
echo end-of-script
`;

before(async () => {
  if (skip !== false) return;
  await foreground.startManager();
  foreground.put('boot', `${VALUES.boot}\n`);
  foreground.put('random', RANDOM);
  foreground.put('live', VALUES.live);
  foreground.put('both', VALUES.both);
  const notifier = compile('test/vm/notifier.c', foreground.path('notifier'));
  foreground.put('full.yaml', `name: full
${await guestWith(foreground, SCRIPT, { 'bin/notifier': readFileSync(notifier) })}
runtimeSecrets:
  boot: {oemCredentialName: BOOT, secretPath: boot, trimNewline: true}
  random: {oemCredentialName: RANDOM, secretPath: random}
  unit: {oemCredentialName: UNIT}
  live: {oemCredentialName: LIVE, secretPath: live, deliver: live}
  both: {oemCredentialName: BOTH, secretPath: both, deliver: both}
staticOEMStrings: ["hello, world"]
volumes: [{image: data.img, size: 8, label: data}]
`);
  foreground.put('tiny.yaml', 'name: tiny\nimage: tiny\nmem: 192\nruntimeSecrets: {boot: {secretPath: boot, deliver: live}}\n');
  foreground.put('off.yaml', `name: off\n${await guestWith(foreground, 'poweroff -f')}`);
});

/** What is left of a VM that has ended: nothing. */
async function assertNothingLeft(name: string): Promise<void> {
  assert.deepEqual(await foreground.processes(name), []);
  assert.equal(existsSync(await foreground.runtimeDirectory(name)), false);
}

test('a guest has its secrets byte for byte over both channels, is heard when it is up, and nothing else of it is', { skip }, async (t) => {
  const credentials = foreground.path('credentials');
  mkdirSync(credentials);
  foreground.put('credentials/unit', VALUES.unit, 0o444);
  const vm = foreground.run(['run', '--stop-grace=0s', '--audit=full.audit', 'full.yaml'], { NOTIFY_SOCKET: foreground.notifySocket, CREDENTIALS_DIRECTORY: credentials });
  t.after(() => vm.end('SIGKILL'));
  await vm.until(/end-of-script/);
  await vm.until(/holds 4 of 4 live deliveries/);
  const seen = (pattern: RegExp): Record<string, string> =>
    Object.fromEntries([...vm.output().matchAll(pattern)].map(([, name, value]) => [name as string, value as string]));
  assert.deepEqual(seen(/^boot (\S+) ([0-9a-f]{64})/gm), {
    BOOT: sha256(VALUES.boot), RANDOM: sha256(RANDOM), UNIT: sha256(VALUES.unit), BOTH: sha256(VALUES.both),
  });
  assert.deepEqual(seen(/^live (\S+ [0-9a-f]{64})  -( \d+)/gm), {
    [`/run/slicer/secrets/live ${sha256(VALUES.live)}`]: ' 600', [`/run/slicer/secrets/both ${sha256(VALUES.both)}`]: ' 600',
    [`/run/credstore/LIVE ${sha256(VALUES.live)}`]: ' 400', [`/run/credstore/BOTH ${sha256(VALUES.both)}`]: ' 400',
  });
  assert.match(vm.output(), /^static hello, world$/m);
  assert.match(vm.output(), /notifier: the host has closed/);
  assert.deepEqual(await foreground.untilTold(0, 2), ['READY=1', 'STATUS=[31mup']);
  const disk = statSync(foreground.path('data.img'));
  assert.deepEqual([disk.size, disk.mode & 0o777, disk.blocks * 512 < disk.size], [8 * 1024 ** 2, 0o600, true]);

  // What anybody on the host could read, and what is on disk or memory-backed file systems.
  const values = [...Object.values(VALUES), RANDOM.toString('latin1')];
  const directory = await foreground.runtimeDirectory('full');
  const places = (): Place[] => [
    ...allProcesses().flatMap(({ pid, cmdline, environ }) => [{ where: `arguments of ${pid}`, bytes: cmdline }, { where: `environment of ${pid}`, bytes: environ }]),
    ...filesBelow(directory), { where: 'the output', bytes: Buffer.from(vm.output()) },
  ];
  assert.deepEqual(find(values, places()), []);
  assert.deepEqual(find(values, [{ where: 'a file', bytes: readFileSync(foreground.path('boot')) }]).length, 1, 'the search finds what is there');
  assert.deepEqual(readdirSync(directory).sort(), ['control.sock', 'vhost.sock', 'vm.vsock', 'vm.vsock_8888', 'vm.vsock_901']);

  const second = foreground.run(['run', 'full.yaml'], { CREDENTIALS_DIRECTORY: credentials });
  assert.equal(await second.end(), 5);
  assert.match(second.output(), /^slicer: error: vm "full" runs already\nslicer: hint: .*\n$/);
  assert.equal(await vm.end('SIGTERM'), 0);
  assert.match(vm.output(), /vm full ended: it was ended: nothing in it needs to be saved\n$/);
  const log = readFileSync(foreground.path('full.audit'), 'utf8');
  assert.deepEqual(find(values, [{ where: 'the audit log', bytes: Buffer.from(log) }]), []);
  const records = log.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, string>);
  const read = (channel: string): string[] => records.filter((record) => record['channel'] === channel).map(({ secret, credential = '' }) => `${secret} ${credential}`).sort();
  assert.deepEqual(read('boot'), ['boot BOOT', 'both BOTH', 'random RANDOM', 'unit UNIT']);
  assert.deepEqual([...new Set(read('live'))], ['both ', 'both BOTH', 'live ', 'live LIVE']);
  assert.deepEqual(records.filter(({ event }) => event !== 'read' && event !== 'refusal').map(({ event, outcome }) => `${event} ${outcome}`), ['grant begun', 'grant ok', 'delete ok']);
  await assertNothingLeft('full');
});

test('the tiny guest is up when its agent is, and powers off when asked to', { skip }, async (t) => {
  const told = foreground.told().length;
  const vm = foreground.run(['run', '--stop-grace=60s', 'tiny.yaml'], { NOTIFY_SOCKET: foreground.notifySocket });
  t.after(() => vm.end('SIGKILL'));
  await vm.until(/holds 2 of 2 live deliveries/);
  // Nobody may listen to the power button yet: it is pressed again.
  assert.equal(await vm.end('SIGINT'), 0, vm.output());
  assert.match(vm.output(), /the guest is asked to power off; it has 60 s/);
  assert.match(vm.output(), /vm tiny ended: the guest powered off when asked to\n$/);
  assert.deepEqual(await foreground.untilTold(told, 2), ['READY=1', "STATUS=the guest's agent is up"]);
  await assertNothingLeft('tiny');
});

test('a guest that powers itself off is a good end', { skip }, async () => {
  const vm = foreground.run(['run', 'off.yaml']);
  assert.equal(await vm.end(), 0, vm.output());
  assert.match(vm.output(), /vm off ended: the guest powered itself off\n$/);
  await assertNothingLeft('off');
});

test('a console that nobody reads any more keeps neither the guest from its end nor `slicer run` from its own', { skip }, async () => {
  // More than what waits on the way from one to the other.
  foreground.put('flood.yaml', `name: flood\n${await guestWith(foreground, 'yes 0123456789abcdef | head -c 700000; poweroff -f')}`);
  const vm = foreground.run(['run', 'flood.yaml']);
  await vm.until(/0123456789abcdef/);
  vm.process.stdout?.pause();
  const exit = once(vm.process, 'exit');
  await vm.until(/vm flood ended: the guest powered itself off\n/);
  assert.deepEqual(await Promise.race([exit, delay(LIMIT_MS, 'it is still there', { ref: false })]), [0, null]);
  vm.process.stdout?.resume();
  await vm.end();
  await assertNothingLeft('flood');
});

test('a guest that does not power off in time is ended, and a second signal does not wait', { skip }, async () => {
  const late = foreground.run(['run', '--stop-grace=300ms', 'tiny.yaml']);
  await late.until(/vm tiny started/);
  assert.equal(await late.end('SIGTERM'), 9);
  assert.match(late.output(), /slicer: error: vm "tiny" did not end well: it was ended: the guest had not powered off within 0.3 s\n/);
  const hurried = foreground.run(['run', '--stop-grace=60s', 'tiny.yaml']);
  await hurried.until(/vm tiny started/);
  hurried.process.kill('SIGTERM');
  await hurried.until(/asked to power off/);
  assert.equal(await hurried.end('SIGTERM'), 9);
  await assertNothingLeft('tiny');
});

test('a killed `slicer run` takes its VM along, and the next one of the name finds the place free', { skip }, async () => {
  const killed = foreground.run(['run', 'tiny.yaml']);
  await killed.until(/vm tiny started/);
  const processes = await foreground.processes('tiny');
  assert.equal(processes.length, 2);
  assert.equal(await killed.end('SIGKILL'), null);
  for (const pid of processes) await untilEnded(pid);
  const directory = await foreground.runtimeDirectory('tiny');
  assert.deepEqual(readdirSync(directory, { withFileTypes: true }).filter((entry) => !entry.isSocket()), [], 'no file is left');
  const next = foreground.run(['run', 'tiny.yaml']);
  await next.until(/vm tiny started/);
  const [vmm] = allProcesses().filter(({ pid, cmdline }) => cmdline.includes('qemu-system') && cmdline.includes(directory) && isAlive(pid));
  process.kill(vmm?.pid as number, 'SIGKILL');
  assert.equal(await next.end(), 8);
  assert.match(next.output(), /slicer: error: vm "tiny" failed: its VMM was ended by SIGKILL\n$/);
  await assertNothingLeft('tiny');
});

test('a VM whose VSOCK process is killed gets another, and its guest powers off when asked to', { skip }, async () => {
  const vm = foreground.run(['run', 'tiny.yaml']);
  await vm.until(/live deliveries/);
  const directory = await foreground.runtimeDirectory('tiny');
  const [device] = allProcesses().filter((each) => isVsockDevice(each) && each.cmdline.includes(directory) && isAlive(each.pid));
  process.kill(device?.pid as number, 'SIGKILL');
  await vm.until(/its VSOCK device was ended by SIGKILL; another has taken its place/);
  assert.equal((await foreground.processes('tiny')).length, 2);
  assert.equal(await vm.end('SIGTERM'), 0, vm.output());
  await assertNothingLeft('tiny');
});

test('a VM that does not start leaves nothing, its error says why, and a disk that was made stays', { skip }, async () => {
  foreground.put('bad.yaml', 'name: bad\nkernel: boot\nmem: 192\nruntimeSecrets: {live: {secretPath: live}}\nvolumes: [{image: other.img, size: 1, fsType: ext2}]\n');
  const vm = foreground.run(['run', 'bad.yaml']);
  assert.equal(await vm.end(), 1);
  assert.match(vm.output(), /slicer: error: vm "bad" did not start, at qemu-system-x86_64: vmm ended with exit code 1; it wrote: .*kernel/);
  assert.ok(!vm.output().includes(VALUES.live));
  await assertNothingLeft('bad');
  assert.deepEqual(readdirSync(foreground.directory).filter((name) => name.includes('other.img')), ['other.img']);
});

test('a memory-backed file system that is full keeps the VM from starting, with nothing left', { skip }, async (t) => {
  const memory = foreground.path('memory');
  mkdirSync(memory);
  // Room for the sockets, and not for what goes over the firmware.
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8k,mode=700', 'tmpfs', memory]);
  if (mounted.status !== 0) return t.skip('this machine lets nobody mount a tmpfs');
  t.after(() => spawnSync('umount', [memory]));
  foreground.put('crowded.yaml', `name: crowded\n${await guestWith(foreground, 'true')}runtimeSecrets: {random: {secretPath: random}}\n`);
  // A user of the VM's own could not reach it.
  const vm = foreground.run(['run', 'crowded.yaml'], { RUNTIME_DIRECTORY: memory, SLICER_VM_UIDS: 'none' });
  assert.equal(await vm.end(), 1);
  const [fact, ...rest] = vm.output().split('\n');
  assert.match(fact as string, /^slicer: error: vm "crowded" did not start, at qemu-system-x86_64: the runtime directory \S+\/crowded can't be written \(ENOSPC\)$/);
  assert.deepEqual(rest, [`slicer: hint: df -h ${memory}; df -i ${memory}`, '']);
  assert.deepEqual(readdirSync(memory), []);
  assert.deepEqual(allProcesses().filter(({ environ }) => environ.includes(`SLICER_VM=${memory}`)), []);
});

test('no disk is made where the VM can have no sockets', { skip }, async () => {
  const sockets = { long: foreground.path(`${'x'.repeat(107)}`), nowhere: foreground.path('no/such/directory/vm.vsock') };
  for (const [name, socket] of Object.entries(sockets)) {
    foreground.put(`${name}.yaml`, `name: ${name}\nimage: tiny\nvsock: {socket: ${socket}}\nvolumes: [{image: ${name}.img, size: 8}]\n`);
    const vm = foreground.run(['run', `${name}.yaml`]);
    assert.notEqual(await vm.end(), 0);
    assert.match(vm.output(), /^slicer: error: (the socket path|can't listen on) /m);
    assert.equal(existsSync(foreground.path(`${name}.img`)), false);
    await assertNothingLeft(name);
  }
});

test('a guest with systemd says itself that it is up, and powers off when asked to', { skip: skip || MISSING_DEBIAN }, async (t) => {
  foreground.put('debian.yaml', 'name: debian\nimage: debian\nmem: 512\nruntimeSecrets: {boot: {secretPath: boot}}\n');
  const told = foreground.told().length;
  const vm = foreground.run(['run', 'debian.yaml'], { NOTIFY_SOCKET: foreground.notifySocket });
  t.after(() => vm.end('SIGKILL'));
  while (!foreground.told().slice(told).includes('READY=1')) {
    assert.equal(vm.process.exitCode, null, vm.output());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(await vm.end('SIGTERM'), 0, vm.output());
  assert.match(vm.output(), /vm debian ended: the guest powered off when asked to\n$/);
  await assertNothingLeft('debian');
});
