import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { recordChange } from '../../src/audit/change.ts';
import { openAuditLog, type AuditLog, type AuditLogOptions } from '../../src/audit/log.ts';
import type { AuditEntry } from '../../src/audit/record.ts';
import { fail } from '../../src/errors/slicer-error.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const entry = (secret: string): AuditEntry => ({ actor: 'admin', event: 'create', secret, outcome: 'ok' });

interface Bench {
  readonly path: string;
  readonly log: AuditLog;
  readonly writable: boolean[];
  lines(file?: string): Record<string, unknown>[];
}

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-audit-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function bench(t: TestContext, options: Partial<AuditLogOptions> = {}): Bench {
  const path = options.path ?? join(directoryFor(t), 'audit.log');
  const writable: boolean[] = [];
  const log = openAuditLog({ path, maxBytes: 1024 ** 2, keep: 2, nowMs: () => NOW, onWritable: (isWritable) => void writable.push(isWritable), ...options });
  t.after(() => log.close());
  const lines = (file = path): Record<string, unknown>[] => readFileSync(file, 'utf8').split('\n').filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { path, log, writable, lines };
}

test('a record is one line of JSON in a file for its owner alone', async (t) => {
  const { path, log } = bench(t);
  await log.append({ ...entry('api-key'), vm: undefined, reason: undefined });
  assert.equal(readFileSync(path, 'utf8'), '{"time":"2026-01-02T03:04:05.006Z","actor":"admin","event":"create","secret":"api-key","outcome":"ok"}\n');
  assert.equal(statSync(path).mode & 0o7777, 0o600);
});

test('records stand in the order in which they were made, whether they were waited for or not', async (t) => {
  const { log, lines } = bench(t);
  const noted = [log.note(entry('1')), log.note(entry('2'), entry('3'))];
  await Promise.all([log.append(entry('4')), ...noted, log.append(entry('5')), log.note(entry('6'))]);
  assert.deepEqual(lines().map(({ secret }) => secret), ['1', '2', '3', '4', '5', '6']);
  assert.deepEqual(log.counts(), { written: 6, lost: 0, isWritable: true });
});

test('a line that a crash cut short stays alone, and the next record is whole', async (t) => {
  const path = join(directoryFor(t), 'audit.log');
  writeFileSync(path, '{"time":"2026-01-01T00:00:00.000Z","actor":"adm', { mode: 0o600 });
  const { log } = bench(t, { path });
  await log.append(entry('next'));
  const [torn, whole, rest] = readFileSync(path, 'utf8').split('\n');
  assert.equal(torn, '{"time":"2026-01-01T00:00:00.000Z","actor":"adm');
  assert.equal(JSON.parse(whole as string).secret, 'next');
  assert.equal(rest, '');
});

test('the log is rotated before it is too large, and only as many files stay as were asked for', async (t) => {
  const { path, log, lines } = bench(t, { maxBytes: 1000 });
  for (let number = 100; number < 150; number += 1) await log.append(entry(`secret-${number}`));
  for (const file of [path, `${path}.1`, `${path}.2`]) assert.ok(statSync(file).size <= 1000, file);
  assert.equal(existsSync(`${path}.3`), false);
  const all = [`${path}.2`, `${path}.1`, path].flatMap(lines).map(({ secret }) => secret);
  assert.deepEqual(all, Array.from({ length: all.length }, (_, index) => `secret-${150 - all.length + index}`));
  assert.ok(all.length > 20);
});

test('a rotation that was cut short is ended by the next one, and no older file is lost for it', async (t) => {
  const { path, log, lines } = bench(t, { maxBytes: 1, keep: 3 });
  for (const secret of ['1', '2', '3', '4']) await log.append(entry(secret));
  // Killed, or refused, between the renames of the older files and that of the newest.
  rmSync(`${path}.3`);
  renameSync(`${path}.2`, `${path}.3`);
  renameSync(`${path}.1`, `${path}.2`);
  await log.append(entry('5'));
  assert.deepEqual([`${path}.3`, `${path}.2`, `${path}.1`, path].flatMap(lines).map(({ secret }) => secret), ['2', '3', '4', '5']);
});

test('a log of which no rotated file is to stay begins anew', async (t) => {
  const { path, log, lines } = bench(t, { maxBytes: 1000, keep: 0 });
  for (let number = 0; number < 30; number += 1) await log.append(entry(`secret-${number}`));
  assert.ok(lines().length < 10 && !existsSync(`${path}.1`));
});

test('a log that was renamed or removed, as logrotate does, is made again at its place', async (t) => {
  const { path, log, lines } = bench(t);
  await log.append(entry('before'));
  renameSync(path, `${path}.1`);
  await log.append(entry('after'));
  rmSync(path);
  await log.append(entry('again'));
  assert.deepEqual([lines(`${path}.1`), lines()].map(([line]) => line?.['secret']), ['before', 'again']);
});

test('a log that cannot be written refuses a change before it is made', async (t) => {
  const { path, log, writable } = bench(t);
  rmSync(path);
  mkdirSync(path);
  let made = 0;
  const make = async (): Promise<number> => (made += 1);
  await assert.rejects(recordChange(log, 'id', { actor: 'admin', event: 'create', secret: 'a' }, make), { code: 'audit_not_writable' });
  assert.deepEqual([made, writable, log.counts().isWritable], [0, [false], false]);
});

test('records that could not be written are counted, and the next line that can be says how many there were', async (t) => {
  const { path, log, lines, writable } = bench(t);
  rmSync(path);
  mkdirSync(path);
  await log.note(entry('1'), entry('2'));
  await log.note(entry('3'));
  rmSync(path, { recursive: true });
  await log.append(entry('4'));
  const [gap, last] = lines();
  assert.deepEqual([gap?.['event'], gap?.['suppressed'], last?.['secret']], ['gap', 3, '4']);
  assert.deepEqual(writable, [false, true]);
  assert.deepEqual(log.counts(), { written: 2, lost: 3, isWritable: true });
});

test('a full disk refuses the change, leaves whole lines, and once there is room the log goes on', { skip: !existsSync('/dev/full') && 'needs /dev/full' }, async (t) => {
  const { path, log } = bench(t);
  await log.append(entry('before'));
  // What /dev/full answers to a write is what a full disk does; it is no file, so it is refused when it is opened.
  rmSync(path);
  symlinkSync('/dev/full', path);
  await assert.rejects(log.append(entry('lost')), { code: 'audit_not_writable' });
  rmSync(path);
  await log.append(entry('after'));
  assert.match(readFileSync(path, 'utf8'), /^\{.*"gap".*\}\n\{.*"after".*\}\n$/);
});

test('a link in the place of the log is not followed', (t) => {
  const directory = directoryFor(t);
  writeFileSync(join(directory, 'target'), '');
  symlinkSync(join(directory, 'target'), join(directory, 'audit.log'));
  assert.throws(() => openAuditLog({ path: join(directory, 'audit.log'), maxBytes: 1e6, keep: 1, nowMs: () => NOW, onWritable: () => undefined }), { code: 'audit_not_writable' });
});

test('a change has a record of its beginning, on the disk before it is made, and one of its end', async (t) => {
  const { log, lines } = bench(t);
  const seen: unknown[] = [];
  await recordChange(log, 'id-1', { actor: 'token', event: 'update', secret: 'a' }, async () => void seen.push(...lines()));
  assert.deepEqual(seen.map((line) => (line as AuditEntry).outcome), ['begun']);
  await assert.rejects(recordChange(log, 'id-2', { actor: 'token', event: 'remove', secret: 'a' }, async () => {
    throw fail('secret_not_found', 'canary');
  }), { code: 'secret_not_found' });
  assert.deepEqual(lines().map(({ id, event, outcome, reason }) => [id, event, outcome, reason]), [
    ['id-1', 'update', 'begun', undefined], ['id-1', 'update', 'ok', undefined],
    ['id-2', 'remove', 'begun', undefined], ['id-2', 'remove', 'failed', 'secret_not_found'],
  ]);
});

test('lines that somebody else appends do not disturb those of the log', async (t) => {
  const { path, log, lines } = bench(t);
  await log.append(entry('1'));
  appendFileSync(path, '{"other":true}\n');
  await log.append(entry('2'));
  assert.equal(lines().length, 3);
});
