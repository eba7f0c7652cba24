// Agents one version older keep working, and so do VMs: the agent, the command line and a VM of the previous tag,
// built from it, with the daemon of today.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, watch } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CHECKOUT, scratchDirectory, unpack } from '../package/made-package.ts';
import { MISSING_PART } from '../vm/parts.ts';
import { processesOf } from '../vm/processes.ts';
import { oneGroup, Slicer, withSlicer } from '../vm/slicer.ts';
import { buildTag, packageOfTag, previousTag } from './previous-version.ts';

const tag = previousTag();
const skip = tag === undefined ? 'no tag stands before this commit: there is no previous version' : MISSING_PART;

const fixture = withSlicer(oneGroup(), { skip });
const scratch = scratchDirectory();
/** A guest keeps secrets in memory alone. */
const memory = mkdtempSync('/dev/shm/slicer-previous-');
const directory = join(memory, 'secrets');
let checkout = '';
let agent: ChildProcess | undefined;
after(() => {
  agent?.kill('SIGKILL');
  for (const path of [scratch, memory]) rmSync(path, { recursive: true });
});

before(async () => {
  if (skip !== false) return;
  checkout = buildTag(tag as string, scratch);
  const vsock = join(memory, 'vm.vsock');
  // Before there is an agent, so that no change is missed.
  const watcher = watch(memory);
  agent = spawn(join(checkout, 'build/slicer-agent-x86_64'), ['run', '--socket', vsock, '--dir', directory, '--credstore', join(memory, 'credstore')], { stdio: 'ignore' });
  const ended = once(agent, 'exit').then(([code]): never => {
    throw new Error(`the agent of the previous tag ended with ${code}`);
  });
  try {
    while (!existsSync(vsock)) await Promise.race([once(watcher, 'change'), ended]);
  } finally {
    watcher.close();
    ended.catch(() => undefined);
  }
});

/** Of the tag: `package.json` has it without a `v`. */
const version = (): string => (JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string }).version;

test('an agent of the previous tag gets secrets, their changes and their removal', { skip, timeout: 120_000 }, async (t) => {
  t.diagnostic(`in all: the previous tag is ${tag}`);
  const { slicer } = fixture;
  await slicer.ok(['secret', 'create', 'api-key', '--uid=1000', '--gid=4000000000', '--permissions=0640'], { stdin: 'a value\n' });
  await slicer.ok(['secret', 'create', 'other'], { stdin: '' });
  await slicer.ok(['attach', '--name=old', `--vsock=${join(memory, 'vm.vsock')}`, '--url=./slicer.sock']);
  await slicer.untilHolds('old');
  assert.equal(readFileSync(join(directory, 'api-key'), 'utf8'), 'a value\n');
  const { mode, uid, gid } = statSync(join(directory, 'api-key'));
  assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1000, 4000000000]);
  assert.equal(await slicer.ok(['secret', 'update', 'api-key', '--wait=60s'], { stdin: 'a newer value\n' }), '');
  assert.equal(readFileSync(join(directory, 'api-key'), 'utf8'), 'a newer value\n');
  await slicer.ok(['secret', 'remove', 'other', '--wait=60s']);
  assert.deepEqual(readdirSync(directory).filter((name) => !name.startsWith('.')), ['api-key']);
});

test('an agent of the previous tag runs commands, and says which version it is', { skip, timeout: 120_000 }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.ok(['vm', 'exec', 'old', '--', 'cat'], { stdin: 'through the agent' }), 'through the agent');
  assert.match(await slicer.ok(['vm', 'health', 'old']), new RegExp(`^old +${version().replaceAll('.', '\\.')} `, 'm'));
});

test('an agent of the previous tag follows a daemon that was restarted', { skip, timeout: 120_000 }, async () => {
  const { slicer } = fixture;
  await slicer.stop();
  await slicer.start();
  await slicer.untilHolds('old');
  await slicer.ok(['secret', 'update', 'api-key', '--wait=60s'], { stdin: 'the newest value\n' });
  assert.equal(readFileSync(join(directory, 'api-key'), 'utf8'), 'the newest value\n');
});

test('a VM that the previous tag launched is adopted by the daemon of today, runs on, and gets what changes', { skip, timeout: 10 * 60_000 }, async () => {
  const bin = join(scratch, 'bin');
  const use = (tree: string): void => {
    rmSync(bin, { recursive: true, force: true });
    mkdirSync(bin);
    symlinkSync(join(tree, 'bin/slicer'), join(bin, 'slicer'));
  };
  use(checkout);
  const slicer = new Slicer(oneGroup(), { programs: [bin] });
  const vmm = (): number | undefined => processesOf(slicer.path('.slicer/vms/vm-1')).find(({ cmdline }) => cmdline.includes('qemu-system'))?.pid;
  try {
    slicer.put('api-key', 'a value\n');
    await slicer.start('--keep-vms');
    assert.equal(await slicer.launch('--secret=api-key'), 'vm-1');
    const pid = vmm();
    assert.ok(pid);
    assert.equal(await slicer.stop(), 0);
    use(CHECKOUT);
    await slicer.start();
    assert.match(await slicer.ok(['vm', 'list']), /^vm-1 .*Running/m);
    assert.equal(vmm(), pid);
    assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key'), 'a value\n');
    await slicer.ok(['secret', 'update', 'api-key', '--wait=60s'], { stdin: 'a newer value\n' });
    assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key'), 'a newer value\n');
  } finally {
    await slicer.close();
  }
});

test('the command line of the previous tag, as it was packaged, speaks to the daemon', { skip, timeout: 30 * 60_000 }, async (t) => {
  const { slicer } = fixture;
  const deb = packageOfTag(checkout);
  if (deb === undefined) t.diagnostic(`${tag} makes no package: its checkout is what runs`);
  const program = deb === undefined ? join(checkout, 'bin/slicer') : join(unpack(deb, scratch), 'usr/bin/slicer');
  const old = (...args: string[]): string => execFileSync(program, args, { cwd: slicer.directory, encoding: 'utf8', input: 'through the old one\n' });
  old('secret', 'create', 'by-the-old-one');
  assert.match(old('secret', 'list'), /^by-the-old-one$/m);
  old('secret', 'update', 'by-the-old-one', '--permissions=0644');
  assert.match(old('vm', 'list'), /^old /m);
  assert.match(old('vm', 'secrets', 'old'), /by-the-old-one +current/);
  assert.equal(old('vm', 'exec', 'old', '--', 'cat'), 'through the old one\n');
  old('secret', 'remove', 'by-the-old-one');
  assert.doesNotMatch(old('secret', 'list'), /by-the-old-one/);
});
