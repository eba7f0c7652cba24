// The agent's place in the boot of systems of each kind, below a directory that passes for their root.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { BUSYBOX_DEFAULTS, OPENRC_UNITS, SYSTEMD_UNITS, UNIT_MARK } from '../../agent/units.ts';
import { AGENT, outcomeOf, type AgentResult } from './guest-fixture.ts';

const DEBIAN = { 'usr/lib/systemd/systemd': '' };
const ALPINE = { 'sbin/openrc-run': '', 'etc/inittab': '::sysinit:/sbin/openrc sysinit\n' };
const BUSYBOX = { 'etc/inittab': '::sysinit:/etc/init.d/boot\n::ctrlaltdel:/sbin/reboot' };
const SYSVINIT = { 'etc/inittab': '# runlevels\nid:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\n' };

function rootWith(context: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync('/dev/shm/slicer-root-');
  context.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const agent = (...words: string[]): Promise<AgentResult> => outcomeOf(spawn(AGENT, words));

/** Every path that is no directory, with what is in it or where it leads. */
function tree(root: string): Map<string, string> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return new Map(paths.filter((path) => !lstatSync(join(root, path)).isDirectory()).sort().map((path) => {
    const whole = join(root, path);
    return [path, lstatSync(whole).isSymbolicLink() ? `-> ${readlinkSync(whole)}` : readFileSync(whole, 'latin1')];
  }));
}

async function succeeds(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await agent(...words);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  return stdout;
}

test('under systemd install puts in the program, its units and what starts them, and names each file', async (context) => {
  const root = rootWith(context, DEBIAN);
  const stdout = await succeeds('install', '--root', root);
  const units = [
    ...SYSTEMD_UNITS.files.map(({ path, text }): [string, string] => [path.slice(1), text]),
    ...SYSTEMD_UNITS.links.map(({ path, target }): [string, string] => [path.slice(1), `-> ${target}`]),
  ];
  const program = readFileSync(AGENT, 'latin1');
  assert.deepEqual(tree(root), new Map([...units, ...Object.entries(DEBIAN), ['usr/bin/slicer-agent', program] as const].sort()));
  assert.equal(statSync(join(root, 'usr/bin/slicer-agent')).mode & 0o7777, 0o755);
  for (const [path] of units) assert.match(stdout, new RegExp(`^(wrote|linked) ${root}/${path}$`, 'm'));
  for (const { path } of SYSTEMD_UNITS.links) assert.ok(existsSync(join(root, path)), `${path} leads nowhere`);
});

test('systemd finds nothing wrong with the units', { skip: hasVerify() ? false : 'systemd-analyze is missing' }, async (context) => {
  const root = rootWith(context, DEBIAN);
  await succeeds('install', '--root', root);
  const paths = SYSTEMD_UNITS.files.map(({ path }) => join(root, path));
  const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' });
  const complaints = stderr.split('\n').filter((line) => line.includes('slicer')
    // 254 and later know it; and it is here below a root, not in /usr/bin.
    && !line.includes("'RestartMode'") && !line.includes('Command /usr/bin/slicer-agent is not executable'));
  assert.deepEqual(complaints, []);
});

function hasVerify(): boolean {
  return spawnSync('systemd-analyze', ['--version']).status === 0;
}

for (const [what, files, expected] of [
  ['systemd', DEBIAN, undefined],
  ['OpenRC', ALPINE, undefined],
  ['busybox', BUSYBOX, '::sysinit:/etc/init.d/boot\n::ctrlaltdel:/sbin/reboot\n::respawn:/usr/bin/slicer-agent run\n'],
  ['System V\'s init', SYSVINIT, `${SYSVINIT['etc/inittab']}slcr:2345:respawn:/usr/bin/slicer-agent run\n`],
] as const) {
  test(`with ${what}, a second install changes nothing, and uninstall leaves nothing of the first`, async (context) => {
    const root = rootWith(context, files);
    const before = tree(root);
    await succeeds('install', '--root', root);
    const after = tree(root);
    if (expected !== undefined) assert.equal(after.get('etc/inittab'), expected);
    const again = await succeeds('install', '--root', root);
    assert.deepEqual(tree(root), after);
    assert.doesNotMatch(again.replace(/^wrote .*\/usr\/bin\/slicer-agent$/m, ''), /wrote|linked/);
    const removed = await succeeds('uninstall', '--root', root);
    assert.match(removed, new RegExp(`^removed ${root}/usr/bin/slicer-agent$`, 'm'));
    if (what === 'busybox') before.set('etc/inittab', `${BUSYBOX['etc/inittab']}\n`);
    assert.deepEqual(tree(root), before);
    assert.equal(await succeeds('uninstall', '--root', root), '');
  });
}

test('the script for OpenRC can be executed, and a shell reads it', async (context) => {
  const root = rootWith(context, ALPINE);
  await succeeds('install', '--root', root);
  const script = join(root, OPENRC_UNITS.files[0]?.path as string);
  assert.equal(statSync(script).mode & 0o777, 0o755);
  assert.equal(spawnSync('sh', ['-n', script]).status, 0);
  assert.equal(readlinkSync(join(root, 'etc/runlevels/boot/slicer-agent')), '/etc/init.d/slicer-agent');
});

test('the installed program can install itself elsewhere, and again over itself', async (context) => {
  const [first, second] = [rootWith(context, DEBIAN), rootWith(context, ALPINE)];
  await succeeds('install', '--root', first);
  const { stdout, stderr } = await outcomeOf(spawn(join(first, 'usr/bin/slicer-agent'), ['install', '--root', first]));
  assert.equal(stderr, '');
  assert.match(stdout, new RegExp(`^kept ${first}/usr/bin/slicer-agent$`, 'm'));
  await outcomeOf(spawn(join(first, 'usr/bin/slicer-agent'), ['install', '--root', second, '--init', 'openrc']));
  assert.ok(readFileSync(join(second, 'usr/bin/slicer-agent')).equals(readFileSync(AGENT)));
});

test('what somebody else put there is neither replaced nor removed', async (context) => {
  const service = SYSTEMD_UNITS.files[1]?.path as string;
  const root = rootWith(context, { ...DEBIAN, [service.slice(1)]: '[Service]\nExecStart=/bin/true\n' });
  const before = tree(root);
  const { status, stderr } = await agent('install', '--root', root);
  assert.equal(status, 1);
  assert.equal(stderr, `slicer-agent: error: ${root}${service}: slicer-agent install did not put this there; remove it first\n`);
  assert.deepEqual(tree(root), before);
  assert.equal(await succeeds('uninstall', '--root', root), `left ${root}${service}, which slicer-agent install did not put there\n`);
  assert.deepEqual(tree(root), before);
});

test('below a root nothing is written or removed through a link that leads out of it', async (context) => {
  const outside = rootWith(context, { 'system/slicer-agent.service': UNIT_MARK });
  const before = tree(outside);
  for (const [link, target] of [['etc/systemd', outside], ['usr/bin', join(outside, 'system')], ['etc/systemd', '../..']] as const) {
    const root = rootWith(context, DEBIAN);
    mkdirSync(join(root, link, '..'), { recursive: true });
    symlinkSync(target, join(root, link));
    for (const command of ['install', 'uninstall']) {
      const { status, stderr } = await agent(command, '--root', root);
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^slicer-agent: error: ${root}/\\S+ leads to \\S+, out of ${root}\n`));
    }
    assert.deepEqual(readdirSync(root).sort(), [...new Set(['usr', link.split('/')[0]])].sort());
    assert.equal(existsSync(join(root, 'etc/systemd/system/slicer-agent.socket')), false);
  }
  assert.deepEqual(tree(outside), before);

  // A link within is one of the system's own.
  const own = rootWith(context, { ...DEBIAN, 'etc/os-release': '', 'opt/systemd/system.conf': '' });
  symlinkSync('../opt/systemd', join(own, 'etc/systemd'));
  await succeeds('install', '--root', own);
  assert.ok(existsSync(join(own, 'opt/systemd/system/slicer-agent.service')));
});

test('where there is no inittab, --init inittab makes one that also has what busybox\'s init does by itself', async (context) => {
  const root = rootWith(context, { 'etc/hostname': 'x\n' });
  await succeeds('install', '--root', root, '--init', 'inittab');
  const inittab = readFileSync(join(root, 'etc/inittab'), 'utf8');
  assert.equal(inittab, `${BUSYBOX_DEFAULTS}::respawn:/usr/bin/slicer-agent run\n`);
  // As parse_inittab of busybox has it; its shells are for four terminals.
  for (const action of ['::sysinit:/etc/init.d/rcS', '::ctrlaltdel:reboot', '::shutdown:umount -a -r', '::restart:init']) assert.ok(inittab.split('\n').includes(action), action);
  assert.equal(inittab.match(/:askfirst:-\/bin\/sh$/gm)?.length, 4);
  assert.match(await succeeds('install', '--root', root), new RegExp(`^kept ${root}/etc/inittab$`, 'm'));
  assert.match(await succeeds('uninstall', '--root', root), new RegExp(`^removed ${root}/etc/inittab$`, 'm'));
  assert.deepEqual([...tree(root).keys()], ['etc/hostname']);
});

test('an inittab that was made by install and then changed is left, without the agent', async (context) => {
  const root = rootWith(context, {});
  await succeeds('install', '--root', root, '--init', 'inittab');
  const path = join(root, 'etc/inittab');
  writeFileSync(path, `${readFileSync(path, 'utf8')}::once:/etc/own\n`);
  assert.match(await succeeds('uninstall', '--root', root), new RegExp(`^removed our line from ${root}/etc/inittab$`, 'm'));
  assert.equal(readFileSync(path, 'utf8'), `${BUSYBOX_DEFAULTS}::once:/etc/own\n`);
});

test('a mode that /etc/inittab has stays', async (context) => {
  const root = rootWith(context, BUSYBOX);
  chmodSync(join(root, 'etc/inittab'), 0o600);
  await succeeds('install', '--root', root);
  assert.equal(statSync(join(root, 'etc/inittab')).mode & 0o777, 0o600);
});

test('an init system that is not known is refused with what to do, and nothing is put in', async (context) => {
  const root = rootWith(context, { 'etc/hostname': 'x\n' });
  const none = await agent('install', '--root', root);
  assert.equal(none.status, 2);
  assert.match(none.stderr, /no init system that is known here in .*; name one with --init, or have whatever starts your services run: slicer-agent run\n/);
  const wrong = await agent('install', '--root', root, '--init', 'upstart');
  assert.match(wrong.stderr, /expected systemd, openrc or inittab for --init, got upstart\n/);
  assert.deepEqual([...tree(root).keys()], ['etc/hostname']);
  const absent = await agent('install', '--root', `${root}/absent`);
  assert.match(absent.stderr, /no such directory for --root/);
});

test('uninstall leaves a program that came another way than by install', async (context) => {
  const root = rootWith(context, { ...DEBIAN, 'usr/bin/slicer-agent': 'of a package' });
  assert.equal(await succeeds('uninstall', '--root', root), `left ${root}/usr/bin/slicer-agent: slicer-agent install did not run here\n`);
  assert.ok(existsSync(join(root, 'usr/bin/slicer-agent')));
});
