// The daemon as a service of systemd: what its unit says, and what the daemon tells.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { findCommand } from '../../image/command.ts';
import { SYSTEMD_UNITS } from '../../agent/units.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const UNIT = readFileSync(join(ROOT, 'packaging/slicer.service'), 'utf8');
const noAnalyze = findCommand('systemd-analyze') === undefined ? 'systemd-analyze is missing: apt-get install systemd' : false;

const units = [
  ['slicer.service', UNIT],
  ['slicer-agent.service', SYSTEMD_UNITS.files.find(({ path }) => path.endsWith('/slicer-agent.service'))?.text ?? ''],
] as const;
for (const [name, text] of units) {
  test(`systemd-analyze security says at most OK of ${name}`, { skip: noAnalyze }, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'slicer-unit-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const file = join(directory, name);
    writeFileSync(file, text);
    // An exposure of 5.0 and more is MEDIUM, and its exit code 1.
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', '--threshold=49', file], { encoding: 'utf8' });
    const verdict = stdout.trim().split('\n').at(-1) ?? '';
    assert.equal(status, 0, `${verdict}\n${stderr}`);
    assert.match(verdict, / (OK|SAFE) /);
    t.diagnostic(verdict);
  });
}

test('the unit lets VMs outlive the daemon, and none of them has a way to more', () => {
  for (const line of ['Type=notify', 'NotifyAccess=all', 'KillMode=process', 'NoNewPrivileges=yes', 'LimitCORE=0', 'OOMPolicy=continue']) {
    assert.match(UNIT, new RegExp(`^${line}$`, 'm'));
  }
  assert.doesNotMatch(/^CapabilityBoundingSet=(.*)$/m.exec(UNIT)?.[1] ?? 'CAP_SYS_ADMIN', /CAP_SYS_ADMIN|CAP_SYS_MODULE|CAP_SYS_RAWIO/);
});

const noReceiver = findCommand('gcc') === undefined ? 'gcc is missing: apt-get install gcc libc6-dev'
  : findCommand('systemd-notify') === undefined ? 'systemd-notify is missing: apt-get install systemd'
    : existsSync(join(ROOT, 'build/slicer.cjs')) ? false : 'this checkout is not built: npm run build';

test('the service manager is told when the API answers, and not before', { skip: noReceiver }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-service-'));
  const socket = join(directory, 'notify');
  execFileSync('gcc', ['-O1', '-o', join(directory, 'receiver'), join(ROOT, 'test/run/datagram-receiver.c')]);
  const receiver = spawn(join(directory, 'receiver'), [socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(receiver.stdout, 'data');
  mkdirSync(join(directory, '.secrets'), { mode: 0o700 });
  writeFileSync(join(directory, 'slicer.yaml'), 'config:\n  api:\n    bind_address: ./slicer.sock\n  host_groups:\n    - {name: web, count: 0, ram_mb: 192}\n');
  const daemon = spawn(join(ROOT, 'bin/slicer'), ['up'], { cwd: directory, stdio: 'ignore', env: { ...process.env, NOTIFY_SOCKET: socket } });
  const ended = once(daemon, 'exit');
  t.after(async () => {
    daemon.kill();
    await ended;
    receiver.kill();
    rmSync(directory, { recursive: true });
  });
  let told = '';
  const ready = new Promise<void>((resolve) => receiver.stdout.on('data', (chunk) => {
    told += String(chunk);
    if (told.includes('READY=1')) resolve();
  }));
  await Promise.race([ready, ended.then(([code]) => assert.fail(`slicer up ended with exit code ${code}`))]);
  assert.match(told, /STATUS=the API is at \S*slicer\.sock/);
  assert.equal(existsSync(join(directory, 'slicer.sock')), true);
});
