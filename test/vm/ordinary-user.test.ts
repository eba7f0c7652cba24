// Slicer as a user who is not root has it: in a directory of his own, with VMs that are his.
import assert from 'node:assert/strict';
import { chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { findBusybox } from '../../image/busybox.ts';
import { findTinyImage } from '../../image/tiny.ts';
import { findVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import { isPassable } from '../../src/vm/private-directory.ts';
import { MISSING_PART, ROOT } from './parts.ts';
import { processesOf } from './processes.ts';
import { oneGroup, Slicer } from './slicer.ts';

const USER = 65534;
const skip = MISSING_PART || (await isPassable(ROOT) ? false : `user ${USER} can't reach this checkout: put it where all can go`);

let cache = '';
let slicer: Slicer;

before(async () => {
  if (skip !== false) return;
  // What root built is in root's home.
  cache = mkdtempSync(join(tmpdir(), 'slicer-cache-'));
  const { kernel, initrd } = await findTinyImage();
  const busybox = await findBusybox();
  for (const entry of new Set([...[kernel, initrd, findVhostDeviceVsock()].map((path) => dirname(path)), busybox?.directory ?? ''])) {
    cpSync(entry, join(cache, entry.split('/').at(-1) as string), { recursive: true });
  }
  give(cache);
  slicer = new Slicer(oneGroup('secrets: [api-key]'), { uid: USER, env: { SLICER_CACHE: cache, HOME: cache } });
  await slicer.start();
});

after(async () => {
  if (skip !== false) return;
  await slicer.close();
  rmSync(cache, { recursive: true });
});

function give(path: string): void {
  chownSync(path, USER, USER);
}

test('what takes no root works without: check, explain, a store in one\'s home, secrets, up', { skip }, async () => {
  await slicer.ok(['check']);
  const create = ['secret', 'create', 'api-key', '--permissions=0440'];
  // A secret has the owner of its file, which only root can give away.
  assert.match((await slicer.run(create, { stdin: 'mine' })).stderr, /only root may give a file to another owner/);
  await slicer.ok([...create, `--uid=${USER}`, `--gid=${USER}`], { stdin: 'mine' });
  assert.deepEqual([statSync(slicer.path('.secrets/api-key')).uid, statSync(slicer.path('slicer.sock')).uid], [USER, USER]);
  assert.match(await slicer.ok(['secret', 'list']), /^api-key$/m);
  assert.match(await slicer.ok(['explain', 'vm']), /api-key/);
});

test('a VM is the user\'s, has no way to more, and gets its secrets with the owner that they have', { skip }, async () => {
  const vm = await slicer.launch();
  assert.equal(await slicer.inGuest(vm, 'cat /run/slicer/secrets/api-key; stat -c " %u %a" /run/slicer/secrets/api-key'), `mine ${USER} 440\n`);
  const processes = processesOf(slicer.path('.slicer/vms', vm));
  assert.equal(processes.length, 3);
  for (const { pid } of processes) {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    assert.match(status, new RegExp(`^Uid:\t${USER}\t${USER}\t${USER}\t${USER}$`, 'm'));
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^CapEff:\t0+$/m);
  }
  await slicer.ok(['vm', 'delete', vm]);
});

test('attach serves a socket of the user\'s from his own store', { skip }, async () => {
  mkdirSync(slicer.path('other'));
  give(slicer.path('other'));
  const attached = slicer.spawn(['attach', '--name=other', `--vsock=${slicer.path('other/vm.vsock')}`, '--secret=api-key', '--secrets-dir=.secrets']);
  const served = new Promise<void>((resolve) => attached.stderr?.on('data', () => {
    if (/serving vm other/.test(slicer.daemonOutput)) resolve();
  }));
  await served;
  assert.equal(statSync(slicer.path('other/vm.vsock_901')).uid, USER);
  attached.kill('SIGINT');
  await new Promise((resolve) => attached.once('exit', resolve));
});

test('run starts a VM of the user\'s in the foreground', { skip }, async () => {
  const run = await slicer.shell(`printf 'name: mine\\nimage: tiny\\nmem: 192\\n' > mine.yaml && slicer check mine.yaml && (slicer run mine.yaml & run=$!; until [ -S "$(ls -d /run/slicer-${USER}/*/mine /dev/shm/slicer-${USER}/*/mine 2>/dev/null | head -1)/control.sock" ]; do sleep 0.1; done; kill -INT $run; wait $run; echo "ended $?")`);
  assert.match(run.stdout, /ended 0/, run.stderr);
});
