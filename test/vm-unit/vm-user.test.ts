// Which user a VM runs as, what that user gets, and that nobody else has it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, lutimesSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setprivArguments } from '../../src/vm/privileges.ts';
import { filesToLend, giveBackFiles, lendFiles } from '../../src/vm/lent-files.ts';
import { chooseUids, DEFAULT_UIDS, groupsOf, VmUsers } from '../../src/vm/vm-user.ts';
import type { VmSpec } from '../../src/vmm/contract.ts';

const ALL = '         0          0 4294967295\n';
const UID = process.geteuid?.() as number;
const needsRoot = UID === 0 ? false : 'needs root, to give files to other users';

function memory(t: TestContext): string {
  const directory = mkdtempSync('/dev/shm/slicer-users-');
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('root\'s VMs have users of a range that is nobody\'s; others have none but their own', () => {
  assert.deepEqual(chooseUids(undefined, 0, ALL), DEFAULT_UIDS);
  assert.deepEqual(chooseUids('', 0, ALL), DEFAULT_UIDS);
  assert.deepEqual(chooseUids('100000-165535', 0, '0 100000 200000\n'), { first: 100_000, last: 165_535 });
  assert.equal(chooseUids('none', 0, ALL), undefined);
  assert.equal(chooseUids(undefined, 1000, ALL), undefined);
  assert.deepEqual([DEFAULT_UIDS.first, DEFAULT_UIDS.last], [2_080_374_784, 2_080_440_319]);
});

for (const wish of ['0-10', '1000-2000', '100000', '200000-100000', '65536-4294967295', 'root', '1e5-2e5', '-']) {
  test(`SLICER_VM_UIDS=${wish} is refused`, () => {
    assert.throws(() => chooseUids(wish, 0, ALL), { code: 'invalid_request', message: /^SLICER_VM_UIDS is / });
  });
}

test('users that a user namespace has not are refused before a VM is made, with what to do', () => {
  assert.throws(() => chooseUids(undefined, 0, '0 100000 65536\n'), (error: any) => {
    assert.match(error.message, /not all in this user namespace/);
    assert.match(error.problems[0].hint, /SLICER_VM_UIDS=/);
    return true;
  });
});

test('no two VMs have one user, whoever starts them; a VM that comes again has its own, and with the last nothing is left', async (t) => {
  const directory = memory(t);
  const range = { first: 70_000, last: 70_003 };
  const [one, other] = await Promise.all([VmUsers.open(range, UID, [directory]), VmUsers.open(range, UID, [directory])]);
  const vms = ['/a/1', '/b/1', '/a/2', '/b/2'];
  const uids = await Promise.all(vms.map((vm, index) => (index % 2 === 0 ? one : other).claim(vm)));
  assert.deepEqual([...uids].sort(), [70_000, 70_001, 70_002, 70_003]);
  await assert.rejects(one.claim('/a/3'), { code: 'launch_failed', message: 'all 4 users that VMs run as are taken' });
  assert.equal(await one.claim('/b/1'), uids[1]);
  // What is another's is not given back.
  await one.release('/a/9', uids[1]);
  assert.ok(await one.isTaken(uids[1] as number));
  await Promise.all(vms.map((vm, index) => other.release(vm, uids[index])));
  assert.deepEqual(readdirSync(directory), []);
});

test('a directory of claims that somebody else made is refused', async (t) => {
  const directory = memory(t);
  mkdirSync(join(directory, 'slicer-users'));
  chmodSync(join(directory, 'slicer-users'), 0o777);
  const users = await VmUsers.open(DEFAULT_UIDS, UID, [directory]);
  await assert.rejects(users.claim('/a/1'), { code: 'store_not_private' });
});

test('a claim for a VM whose directory is gone is given back, but not at once, nor while a process runs as its user', { skip: needsRoot }, async (t) => {
  const directory = memory(t);
  const claims = join(directory, 'slicer-users');
  const claim = (uid: number, vm: string, ageMinutes: number): void => {
    symlinkSync(vm, join(claims, String(uid)));
    const at = Date.now() / 1000 - ageMinutes * 60;
    lutimesSync(join(claims, String(uid)), at, at);
  };
  mkdirSync(claims, { mode: 0o700 });
  claim(70_001, '/no/such/vm-1', 60);
  claim(70_002, directory, 60);
  claim(70_003, '/no/such/vm-3', 1);
  claim(70_004, '/no/such/vm-4', 60);
  const process = spawn('sleep', ['1000'], { uid: 70_004, stdio: 'ignore' });
  try {
    await once(process, 'spawn');
    await VmUsers.open({ first: 70_000, last: 70_009 }, UID, [directory]);
    assert.deepEqual(readdirSync(claims).sort(), ['70002', '70003', '70004']);
  } finally {
    process.kill('SIGKILL');
    await once(process, 'exit');
  }
  for (const uid of ['70002', '70003']) rmSync(join(claims, uid));
  await VmUsers.open({ first: 70_000, last: 70_009 }, UID, [directory]);
  assert.deepEqual(readdirSync(directory), [], 'with the last claim the directory goes');
});

test('one step takes all rights away, and root alone has some to take', () => {
  const user = { uid: 70_000, groups: [] };
  const none = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'];
  assert.deepEqual(setprivArguments({ user }, true), ['--no-new-privs', ...none, '--reuid=70000', '--regid=70000', '--clear-groups']);
  assert.deepEqual(setprivArguments({ user: { uid: 70_000, groups: [104, 105] } }, true).at(-1), '--groups=104,105');
  assert.ok(setprivArguments({ user, capability: 'net_bind_service' }, true).includes('--bounding-set=-all,+net_bind_service'));
  assert.deepEqual(setprivArguments({}, true), ['--no-new-privs', ...none]);
  assert.deepEqual(setprivArguments({ keepsCapabilities: true }, true), ['--no-new-privs']);
  assert.deepEqual(setprivArguments({ keepsCapabilities: true }, false), ['--no-new-privs']);
});

test('a tap\'s group is the VM\'s, and a tap of another user is refused by its name', async (t) => {
  const sysfs = memory(t);
  const tap = (name: string, owner: number, group: number): void => {
    mkdirSync(join(sysfs, name));
    writeFileSync(join(sysfs, name, 'owner'), `${owner}\n`);
    writeFileSync(join(sysfs, name, 'group'), `${group}\n`);
  };
  tap('tap0', -1, -1);
  tap('tap1', -1, 105);
  tap('tap2', 0, -1);
  const spec = (name: string): VmSpec => ({ name: 'web-1', accelerator: 'tcg', interfaces: [{ kind: 'tap', name }] }) as unknown as VmSpec;
  assert.deepEqual(await groupsOf(spec('tap0'), 70_000, sysfs), []);
  assert.deepEqual(await groupsOf(spec('tap1'), 70_000, sysfs), [105]);
  await assert.rejects(groupsOf(spec('tap2'), 70_000, sysfs), { code: 'missing_part', message: 'the tap "tap2" is user 0\'s, and vm "web-1" runs as user 70000' });
});

test('what a VMM takes by its path is lent to the VM\'s user, and its owner\'s again after it', { skip: needsRoot }, async (t) => {
  const directory = memory(t);
  const users = await VmUsers.open({ first: 70_000, last: 70_009 }, UID, [directory]);
  const [uid, other] = [await users.claim('/a/1'), await users.claim('/a/2')];
  const disk = (name: string, mode: number, owner: number): string => {
    const path = join(directory, name);
    writeFileSync(path, '');
    chmodSync(path, mode);
    chownSync(path, owner, 0);
    return path;
  };
  const [mine, shared, orphan, taken] = [disk('mine', 0o600, 1000), disk('shared', 0o644, 0), disk('orphan', 0o600, 70_009), disk('taken', 0o600, other)] as const;
  const spec = (...volumes: [path: string, readOnly: boolean][]): VmSpec =>
    ({ name: 'web-1', shares: [], volumes: volumes.map(([path, readOnly]) => ({ path, readOnly })) }) as unknown as VmSpec;
  assert.deepEqual(await filesToLend(spec([mine, false]), 'qemu', uid, users, 0), []);
  const lent = await filesToLend(spec([mine, false], [shared, true], [orphan, false]), 'firecracker', uid, users, 0);
  assert.deepEqual(lent, [{ path: mine, owner: 1000 }, { path: orphan, owner: 0 }]);
  await assert.rejects(filesToLend(spec([taken, false]), 'firecracker', uid, users, 0), { code: 'launch_failed', message: /is another VM's while that runs$/ });
  await lendFiles(lent, uid);
  assert.deepEqual([mine, shared, orphan].map((path) => statSync(path).uid), [uid, 0, uid]);
  // Whoever has it by now keeps it.
  chownSync(orphan, 1234, 0);
  await giveBackFiles([...lent, { path: join(directory, 'gone'), owner: 0 }], uid);
  assert.deepEqual([mine, shared, orphan].map((path) => statSync(path).uid), [1000, 0, 1234]);
  assert.ok(!existsSync(join(directory, 'gone')));
});
