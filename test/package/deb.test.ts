// The Debian package, looked at and run without being installed.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { findCommand } from '../../image/command.ts';
import { loadConfig } from '../../src/config/load.ts';
import { VERSION } from '../../src/api/version.ts';
import { makePackage, scratchDirectory, unpack } from './made-package.ts';

const scratch = scratchDirectory();
after(() => rmSync(scratch, { recursive: true }));

let deb = '';
let root = '';
before(async () => {
  deb = await makePackage(scratch);
  root = unpack(deb, scratch);
});

const dpkgDeb = (...args: string[]): string => execFileSync('dpkg-deb', args, { encoding: 'utf8' });
const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

interface Entry {
  readonly mode: string;
  readonly owner: string;
  readonly path: string;
}

const contents = (): Entry[] => dpkgDeb('--contents', deb).trim().split('\n').map((line) => {
  const [mode = '', owner = '', , , , path = ''] = line.split(/\s+/);
  return { mode, owner, path };
});

test('a package of the same commit is the same to the byte', async () => {
  const again = join(scratch, 'again');
  mkdirSync(again);
  assert.equal(digest(await makePackage(again)), digest(deb));
  rmSync(again, { recursive: true });
});

test('everything in the package is root\'s, and nobody else may write it', () => {
  const entries = contents();
  assert.deepEqual(entries.filter(({ owner }) => owner !== 'root/root'), []);
  assert.deepEqual(entries.filter(({ mode }) => !['drwxr-xr-x', '-rwxr-xr-x', '-rw-r--r--'].includes(mode)), []);
  assert.deepEqual(entries.filter(({ mode }) => mode === '-rwxr-xr-x').map(({ path }) => path), [
    './usr/bin/slicer', './usr/lib/slicer/build/slicer-agent-aarch64', './usr/lib/slicer/build/slicer-agent-x86_64', './usr/lib/slicer/node',
  ]);
});

test('the package has the program, the agents, the unit, completion, the manual page and the documentation', () => {
  const paths = new Set(contents().map(({ path }) => path.slice(1)));
  for (const path of [
    '/usr/bin/slicer', '/usr/lib/slicer/build/slicer.cjs', '/usr/lib/slicer/build/commands/up.cjs', '/usr/lib/slicer/image/tiny/boot', '/usr/lib/slicer/image/debian/init',
    '/usr/lib/systemd/system/slicer.service', '/etc/slicer/slicer.yaml', '/usr/share/man/man1/slicer.1.gz', '/usr/share/bash-completion/completions/slicer',
    '/usr/share/zsh/vendor-completions/_slicer', '/usr/share/fish/vendor_completions.d/slicer.fish', '/usr/share/doc/slicer/copyright', '/usr/share/doc/slicer/docs/security.md',
  ]) assert.ok(paths.has(path), path);
  // What a build leaves besides, and what is a developer's.
  for (const path of paths) assert.doesNotMatch(path, /compiled|\.ts$|\.map$|\/\.[a-z]/);
});

test('the package depends on what the bundled Node is linked to, and on no other source of packages', () => {
  const fields = Object.fromEntries(dpkgDeb('--field', deb).split('\n').filter((line) => /^\w/.test(line)).map((line) => line.split(': ', 2)));
  assert.equal(fields['Package'], 'slicer');
  assert.equal(fields['Version'], VERSION);
  assert.equal(fields['Architecture'], 'amd64');
  assert.match(fields['Depends'], /^libc6 \(>= 2\.28\), .*util-linux/);
  assert.doesNotMatch(fields['Depends'], /nodejs|quickjs|libc6-dev|gcc \(/);
  assert.ok(fields['Recommends'].includes('qemu-system-x86'));
  assert.equal(dpkgDeb('--info', deb, 'conffiles'), '/etc/slicer/slicer.yaml\n');
  const needed = execFileSync('ldd', [join(root, 'usr/lib/slicer/node')], { encoding: 'utf8' });
  assert.doesNotMatch(needed, /not found/);
});

test('dpkg\'s checksums are those of the files', () => {
  const sums = dpkgDeb('--info', deb, 'md5sums');
  assert.equal(spawnSync('md5sum', ['--check', '--quiet'], { cwd: root, input: sums }).status, 0);
  assert.ok(sums.includes('  usr/lib/slicer/node\n'));
});

test('the scripts of the package are scripts of a POSIX shell', () => {
  for (const name of ['postinst', 'postrm', 'prerm']) {
    const script = dpkgDeb('--info', deb, name);
    assert.match(script, /^#!\/bin\/sh\nset -e\n/);
    const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }
});

test('the configuration of the service is one that loads, with the places of the unit', () => {
  const config = loadConfig(join(root, 'etc/slicer/slicer.yaml'));
  assert.equal(config.secretsDir, '/var/lib/slicer/secrets');
  assert.equal(config.api.unix?.path, '/run/slicer/slicer.sock');
  const unit = readFileSync(join(root, 'usr/lib/systemd/system/slicer.service'), 'utf8');
  assert.match(unit, /^ExecStart=.*\/usr\/bin\/slicer up --keep-vms .*\/etc\/slicer\/slicer\.yaml$/m);
  assert.match(unit, /^StateDirectory=slicer$/m);
  assert.match(unit, /^KillMode=process$/m, 'VMs outlive the daemon');
});

test('systemd has nothing to say against the unit', { skip: findCommand('systemd-analyze') === undefined ? 'systemd-analyze is missing: apt-get install systemd' : false }, () => {
  const unit = join(scratch, 'slicer.service');
  // It looks for the program, which is not installed here.
  writeFileSync(unit, readFileSync(join(root, 'usr/lib/systemd/system/slicer.service'), 'utf8').replaceAll('/usr/bin/slicer', join(root, 'usr/bin/slicer')));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  assert.doesNotMatch(stderr, /slicer\.service/);
});

test('the manual page has every command, and groff has nothing to say against it', { skip: findCommand('groff') === undefined ? 'groff is missing: apt-get install groff' : false }, () => {
  const page = gunzipSync(readFileSync(join(root, 'usr/share/man/man1/slicer.1.gz')));
  const { status, stdout, stderr } = spawnSync('groff', ['-man', '-ww', '-Tascii', '-P-c', '-P-b', '-P-u'], { input: page, encoding: 'utf8' });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  for (const line of ['slicer secret create [OPTION...] NAME', 'slicer up [OPTION...] [FILE]', '--keep-vms', '/var/lib/slicer']) assert.ok(stdout.includes(line), line);
});

test('what the package installs runs from any other directory, and with no other Node', async () => {
  const work = join(scratch, 'work');
  mkdirSync(work, { mode: 0o700 });
  const program = join(root, 'usr/bin/slicer');
  const options = { cwd: work, encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: work } } as const;
  const slicer = (args: string[], input = ''): string => execFileSync(program, args, { ...options, input });
  assert.match(slicer(['version']), new RegExp(`^slicer ${VERSION.replaceAll('.', '\\.')} \\(`));
  assert.match(slicer(['--help']), /Examples:/);
  assert.match(slicer(['completion', 'fish']), /^complete -c slicer/m);
  writeFileSync(join(work, 'slicer.yaml'), slicer(['new', 'web']));

  const daemon = spawn(program, ['up'], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const isUp = new Promise<void>((resolve, reject) => {
    daemon.stderr.on('data', (chunk: Buffer) => {
      log += chunk;
      if (log.includes('slicer is up')) resolve();
    });
    daemon.once('exit', () => reject(new Error(log)));
  });
  try {
    await isUp;
    slicer(['secret', 'create', 'api-key'], 'a value\n');
    assert.match(slicer(['secret', 'list']), /^api-key$/m);
    assert.equal(readFileSync(join(work, '.secrets/api-key'), 'utf8'), 'a value\n');
  } finally {
    daemon.kill('SIGTERM');
    if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit');
  }
});

test('a link to the program runs it too', () => {
  const link = join(scratch, 'slicer');
  execFileSync('ln', ['-s', join(root, 'usr/bin/slicer'), link]);
  assert.match(execFileSync(link, ['version'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } }), /^slicer /);
});
