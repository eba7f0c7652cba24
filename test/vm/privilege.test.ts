// A VMM that its guest has broken into, as `slicer up` starts it: in the place of one VM's QEMU a program of ours
// tries what an attacker would. Beside it runs a real VM, whose files, sockets and processes it wants.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEFAULT_UIDS } from '../../src/vm/vm-user.ts';
import { MISSING_COMPILER, ROOT } from './parts.ts';
import { processesOf } from './processes.ts';
import { Slicer } from './slicer.ts';

const skip = MISSING_COMPILER;
const CONFIG = `config:
  hypervisor: qemu
  image: tiny
  host_groups:
    - name: web
      count: 0
      ram_mb: 192
    - name: broken
      count: 0
      ram_mb: 192
  api:
    bind_address: ./slicer.sock
`;

/** Programs that users of VMs can start, and files that they can write. */
let open = '';
let slicer: Slicer;
let victim = '';

before(async () => {
  if (skip !== false) return;
  open = mkdtempSync(join(tmpdir(), 'slicer-open-'));
  chmodSync(open, 0o711);
  const program = join(open, 'broken-vmm');
  execFileSync('gcc', ['-static', '-O2', '-Wall', '-Werror', '-o', program, join(ROOT, 'test/vm/broken-vmm.c')]);
  chmodSync(program, 0o755);
  const qemu = execFileSync('/bin/sh', ['-c', 'command -v qemu-system-x86_64'], { encoding: 'utf8' }).trim();
  mkdirSync(join(open, 'bin'));
  chmodSync(join(open, 'bin'), 0o755);
  writeFileSync(join(open, 'bin/qemu-system-x86_64'), `#!/bin/sh
case "$2" in
  broken-1) ${program} ${open}/wishes ${open}/results; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/self/status > ${open}/status; exit 1 ;;
  *) exec ${qemu} "$@" ;;
esac
`);
  chmodSync(join(open, 'bin/qemu-system-x86_64'), 0o755);
  for (const file of ['wishes', 'results', 'status']) {
    writeFileSync(join(open, file), '');
    chmodSync(join(open, file), 0o666);
  }
  slicer = new Slicer(CONFIG, { programs: [join(open, 'bin')] });
  // As a directory of a service is: whoever knows a name in it would get there.
  chmodSync(slicer.directory, 0o755);
  slicer.put('api-key', 'a value of the store');
  await slicer.start();
  victim = await slicer.launch('web');
});

after(async () => {
  if (skip !== false) return;
  await slicer.close();
  rmSync(open, { recursive: true });
});

const runtimeDirectory = (hostname: string): string => join(slicer.runtimeDirectories()[0] as string, hostname);

/** Role of each process of the VM that runs, by its number. */
function processesOfVictim(): { readonly pid: number; readonly uid: number; readonly exe: string }[] {
  return processesOf(slicer.path('.slicer/vms', victim)).map(({ pid }) => ({
    pid, uid: statSync(`/proc/${pid}`).uid, exe: readlinkSync(`/proc/${pid}/exe`),
  }));
}

test('every process of a VM is a user of the VM\'s own, without a capability, a group or a way to more', { skip }, () => {
  const processes = processesOfVictim();
  const vmms = processes.filter(({ exe }) => /qemu-system|vhost-device-vsock/.test(exe));
  assert.equal(vmms.length, 2, processes.map(({ exe }) => exe).join());
  const uids = new Set(vmms.map(({ uid }) => uid));
  assert.equal(uids.size, 1);
  const [uid = 0] = uids;
  assert.ok(uid >= DEFAULT_UIDS.first && uid <= DEFAULT_UIDS.last, String(uid));
  for (const { pid, exe } of vmms) {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    assert.match(status, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'));
    assert.match(status, new RegExp(`^Gid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'));
    assert.match(status, /^Groups:\s*$/m);
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) assert.match(status, new RegExp(`^Cap${set}:\t0+$`, 'm'), exe);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    if (exe.includes('qemu')) assert.match(status, /^Seccomp:\t2$/m);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
  }
  // Its log is a file of root's, which the one who writes it can do nothing else with.
  const console = processes.find(({ exe }) => exe.includes('slicer-agent'));
  const status = readFileSync(`/proc/${console?.pid}/status`, 'latin1');
  for (const set of ['Prm', 'Eff', 'Bnd']) assert.match(status, new RegExp(`^Cap${set}:\t0+$`, 'm'));
  assert.match(status, /^NoNewPrivs:\t1$/m);
});

test('one broken VMM can read neither the store nor another VM\'s files, and reaches none of its sockets or processes', { skip }, async () => {
  const directory = runtimeDirectory(victim);
  const pids = [slicer.daemonPid, ...processesOfVictim().map(({ pid }) => pid)];
  const files = [
    slicer.path('.secrets/api-key'), slicer.path('.slicer/vms', victim, 'vm.json'), slicer.path('.slicer/vms', victim, 'console.log'),
    slicer.path('.slicer/daemon.lock'), join(directory, 'boot-token'),
    ...pids.flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/mem`, `/proc/${pid}/maps`]),
  ];
  const directories = [
    slicer.path('.secrets'), slicer.path('.slicer'), join(directory, '..'), join(directory, '../..'), directory, ...pids.map((pid) => `/proc/${pid}/fd`),
  ];
  const sockets = [slicer.path('slicer.sock'), ...readdirSync(directory).filter((name) => /sock|vsock/.test(name)).map((name) => join(directory, name))];
  assert.ok(sockets.length >= 5, sockets.join());
  const wishes = [
    ...files.map((path) => `read ${path}`),
    ...directories.map((path) => `list ${path}`),
    ...sockets.map((path) => `connect ${path}`),
    ...pids.flatMap((pid) => ['signal', 'memory', 'trace'].map((verb) => `${verb} ${pid}`)),
    // Nor what is the host's in its own VM's directory.
    ...['boot-token', 'vm.vsock_901'].flatMap((name) => ['remove', 'replace'].map((verb) => `${verb} ${join(directory, '../broken-1', name)}`)),
    `read ${join(directory, '../broken-1/boot-token')}`, `list ${join(directory, '../broken-1')}`,
    `make ${slicer.path('left')}`, `make ${join(directory, 'left')}`, 'root 0',
  ];
  writeFileSync(join(open, 'wishes'), wishes.map((wish) => `${wish}\n`).join(''));
  const launched = await slicer.run(['vm', 'launch', 'broken', '--json']);
  assert.notEqual(launched.exitCode, 0);
  const results = readFileSync(join(open, 'results'), 'latin1').trim().split('\n');
  assert.equal(results.length, wishes.length, `${launched.stderr}\n${results.join('\n')}`);
  assert.deepEqual(results.filter((line) => !/: (EACCES|EPERM)$/.test(line)), []);
  assert.match(readFileSync(join(open, 'status'), 'latin1'), /^CapEff:\t0+$/m);
  // The same program as root can do all but the last, or the test proves nothing.
  writeFileSync(join(open, 'wishes'), wishes.filter((wish) => !wish.includes('/broken-1')).map((wish) => `${wish}\n`).join(''));
  execFileSync(join(open, 'broken-vmm'), [join(open, 'wishes'), join(open, 'results')]);
  const asRoot = readFileSync(join(open, 'results'), 'latin1').trim().split('\n');
  // A process that opens another's socket is asked for room, not for a right, where the one connection is taken.
  assert.deepEqual(asRoot.filter((line) => !/: (done|EAGAIN|EIO)$/.test(line)), []);
  rmSync(slicer.path('left'));
  rmSync(join(directory, 'left'));
});

test('a VM that is broken into beside it loses nothing: its secrets still follow', { skip }, async () => {
  slicer.put('api-key', 'a newer value');
  await slicer.untilHolds(victim);
  assert.equal(await slicer.inGuest(victim, 'cat /run/slicer/secrets/api-key'), 'a newer value');
});

test('a VM\'s user is its own: another VM has another, and the next daemon knows whose is whose', { skip }, async () => {
  const usersOf = (hostname: string): number => (JSON.parse(readFileSync(slicer.path('.slicer/vms', hostname, 'vm.json'), 'utf8')) as { uid: number }).uid;
  const other = await slicer.launch('web');
  const before = [victim, other].map(usersOf);
  assert.equal(new Set(before).size, 2);
  await slicer.stop('SIGKILL');
  await slicer.start();
  assert.deepEqual([victim, other].map(usersOf), before);
  await slicer.untilHolds(victim);
  assert.equal((await slicer.inGuest(victim, 'echo here')).trim(), 'here');
  await slicer.ok(['vm', 'delete', other]);
});
