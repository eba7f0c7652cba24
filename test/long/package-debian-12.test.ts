// The Debian package in a Debian 12, whose libraries are older: installed by its dpkg into a root of its own, and
// used there. No systemd runs in it, so the daemon is started as the unit would.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { machineMirror } from '../../image/archive.ts';
import { findCommand } from '../../image/command.ts';
import { VERSION } from '../../src/api/version.ts';
import { makePackage, scratchDirectory } from '../package/made-package.ts';

const skip = process.geteuid?.() !== 0 ? 'only root can install a package'
  : findCommand('debootstrap') === undefined ? 'debootstrap is missing: apt-get install debootstrap' : false;

const scratch = scratchDirectory();
const root = join(scratch, 'debian-12');
const NAMESPACES = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child', `--root=${root}`, '--mount-proc'];
const ENVIRONMENT = ['/usr/bin/env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'DEBIAN_FRONTEND=noninteractive'];
let daemon: ChildProcess | undefined;
after(async () => {
  if (daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null) {
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
  }
  rmSync(scratch, { recursive: true });
});

/** A script in the new root, in namespaces that end with it. */
const inside = (script: string): string => execFileSync('unshare', [...NAMESPACES, ...ENVIRONMENT, 'sh', '-ec', script], { encoding: 'utf8' });

before(async () => {
  if (skip !== false) return;
  execFileSync('debootstrap', ['--variant=minbase', 'bookworm', root, await machineMirror()], { stdio: ['ignore', 'ignore', 'pipe'] });
  const deb = await makePackage(scratch);
  copyFileSync(deb, join(root, basename(deb)));
  mkdirSync(join(root, 'run/slicer'));
});

test('Debian 12 has all that the package depends on, and its Node runs there', { skip, timeout: 20 * 60_000 }, () => {
  assert.match(readFileSync(join(root, 'etc/debian_version'), 'utf8'), /^12\./);
  inside('dpkg -i /slicer_*.deb');
  assert.equal(inside('dpkg-query -W -f "\\${Status}" slicer; dpkg --verify slicer'), 'install ok installed');
  assert.match(inside('slicer version'), new RegExp(`^slicer ${VERSION.replaceAll('.', '\\.')} \\(`));
  assert.match(inside('slicer check /etc/slicer/slicer.yaml 2>/dev/null || true; ls /etc/systemd/system/multi-user.target.wants'), /slicer\.service/);
});

test('the daemon of the package keeps secrets on Debian 12', { skip, timeout: 5 * 60_000 }, async () => {
  const start = 'mount -t tmpfs tmpfs /dev/shm; cd /var/lib/slicer; exec slicer up --keep-vms /etc/slicer/slicer.yaml';
  daemon = spawn('unshare', [...NAMESPACES, ...ENVIRONMENT, 'sh', '-ec', `mkdir -p -m 700 /var/lib/slicer; mkdir -p /dev/shm; ${start}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    daemon?.stderr?.on('data', (chunk: Buffer) => {
      log += chunk;
      if (log.includes('slicer is up')) resolve();
    });
    daemon?.once('exit', () => reject(new Error(log)));
  });
  inside('echo "a value" | slicer secret create api-key');
  assert.match(inside('slicer secret list'), /^api-key$/m);
  assert.ok(existsSync(join(root, 'var/lib/slicer/secrets/api-key')));
});

test('what is removed from Debian 12 keeps secrets', { skip, timeout: 5 * 60_000 }, () => {
  inside('dpkg --remove slicer');
  assert.ok(!existsSync(join(root, 'usr/lib/slicer')));
  assert.ok(existsSync(join(root, 'etc/slicer/slicer.yaml')));
  assert.match(inside('dpkg --purge slicer'), /stay in \/var\/lib\/slicer/);
  assert.ok(existsSync(join(root, 'var/lib/slicer/secrets/api-key')));
});
