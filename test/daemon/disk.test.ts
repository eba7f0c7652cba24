// The daemon on a disk that is really full, and on one that is really read-only: a tmpfs of 256 KiB.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fromErrorBody } from '../../src/api/error-body.ts';
import { base64, bench, type Answer, type Bench } from './daemon.ts';

/** A disk of this size that goes with the test; undefined where one may not mount, and the test is skipped. */
function smallDisk(t: TestContext): string | undefined {
  const disk = mkdtempSync(join(tmpdir(), 'slicer-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=700', 'slicer-test', disk], { stdio: 'ignore' });
  } catch {
    rmdirSync(disk);
    t.skip('needs the right to mount a tmpfs: run it as root');
    return undefined;
  }
  t.after(() => {
    // Whatever still has a file of it open keeps it for as long.
    execFileSync('umount', ['--lazy', disk]);
    rmdirSync(disk);
  });
  return disk;
}

/** Takes what room there is. Returns how to give it back. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler');
  const descriptor = openSync(path, 'w');
  try {
    for (;;) writeSync(descriptor, Buffer.alloc(4096, 1));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    closeSync(descriptor);
  }
  return () => rmSync(path);
}

const NEW = { data: base64('new value') };
const CHANGES = [
  ['POST', '/secrets', { name: 'added', ...NEW }], ['PATCH', '/secrets/there', NEW], ['PATCH', '/secrets/there', { permissions: '0640' }],
] as const;

const problemOf = ({ status, body }: Answer): string => `${status} ${body.code}: ${fromErrorBody(body)?.problems[0]?.hint}`;

/** With one secret, held by one guest. */
async function withOldValue({ api, attach }: Bench) {
  assert.equal((await api('POST', '/secrets', { name: 'there', data: base64('old value') })).status, 201);
  const agent = await attach('guest');
  await agent.establish();
  await agent.sync();
  return agent;
}

async function assertAllWorks({ api }: Bench, secrets: string, agent: Awaited<ReturnType<typeof withOldValue>>): Promise<void> {
  for (const [method, path, body] of CHANGES) assert.ok((await api(method, path, body)).status < 300, `${method} ${path}`);
  await agent.sync();
  assert.deepEqual([...agent.held.keys()].sort(), ['added', 'there']);
  assert.equal(readFileSync(join(secrets, 'there'), 'utf8'), 'new value');
  assert.equal((await api('DELETE', '/secrets/there')).status, 200);
  agent.close();
}

test('a full disk on the host refuses the change and keeps the old value, and once there is room all works', async (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  const secrets = join(disk, '.secrets');
  const daemon = await bench(t, { config: (config) => ({ ...config, secretsDir: secrets }) });
  const agent = await withOldValue(daemon);
  const makeRoom = fill(disk);
  for (const [method, path, body] of CHANGES.slice(0, 2)) {
    assert.match(problemOf(await daemon.api(method, path, body)), /^507 store_full: df -h /, `${method} ${path}`);
  }
  assert.deepEqual([readdirSync(secrets), readFileSync(join(secrets, 'there'), 'utf8')], [['there'], 'old value']);
  assert.equal((await daemon.api('GET', '/store')).body.problem, undefined);
  makeRoom();
  await assertAllWorks(daemon, secrets, agent);
});

test('a disk that is full for the audit log too refuses every change, and none is made without a record', async (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  mkdirSync(join(disk, 'state'), { mode: 0o700 });
  const daemon = await bench(t, { directory: join(disk, 'state') });
  const secrets = join(disk, 'state/.secrets');
  const agent = await withOldValue(daemon);
  const makeRoom = fill(disk);
  // The last page of the log has room for some more records.
  let said = '';
  for (let count = 0; count < 100 && !said.startsWith('500 audit_not_writable'); count += 1) {
    said = problemOf(await daemon.api('PATCH', '/secrets/there', NEW));
    assert.match(said, /^(507 store_full|500 audit_not_writable): df -h /);
  }
  assert.match(said, /^500 audit_not_writable/);
  for (const [method, path, body] of [...CHANGES, ['DELETE', '/secrets/there', undefined] as const]) {
    assert.match(problemOf(await daemon.api(method, path, body)), /^500 audit_not_writable: df -h /, `${method} ${path}`);
  }
  assert.deepEqual([readdirSync(secrets), readFileSync(join(secrets, 'there'), 'utf8')], [['there'], 'old value']);
  makeRoom();
  await assertAllWorks(daemon, secrets, agent);
});

test('a store that becomes read-only refuses changes, keeps what it has, and takes them again when it is writable', async (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return;
  const secrets = join(disk, '.secrets');
  const daemon = await bench(t, { config: (config) => ({ ...config, secretsDir: secrets }) });
  const agent = await withOldValue(daemon);
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  for (const [method, path, body] of [...CHANGES, ['DELETE', '/secrets/there', undefined] as const]) {
    assert.match(problemOf(await daemon.api(method, path, body)), /^500 store_not_writable: findmnt --target .* mount -o remount,rw$/, `${method} ${path}`);
  }
  assert.deepEqual([readdirSync(secrets), readFileSync(join(secrets, 'there'), 'utf8')], [['there'], 'old value']);
  const late = await daemon.attach('late');
  await late.establish();
  await late.sync();
  assert.deepEqual([...late.held.keys()], ['there']);
  late.close();
  execFileSync('mount', ['-o', 'remount,rw', disk]);
  await assertAllWorks(daemon, secrets, agent);
});
