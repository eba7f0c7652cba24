import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AuditRecord } from '../../src/api/audit.ts';
import { openAuditLog, type AuditLog } from '../../src/audit/log.ts';
import { News } from '../../src/audit/news.ts';
import { readAudit, type AuditFilter } from '../../src/audit/reader.ts';
import type { AuditEntry } from '../../src/audit/record.ts';

function logFor(t: TestContext, maxBytes = 1024 ** 2, keep = 3): { path: string; log: AuditLog; pass: (ms: number) => void } {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-audit-'));
  const path = join(directory, 'audit.log');
  let nowMs = Date.UTC(2026, 0, 1);
  const log = openAuditLog({ path, maxBytes, keep, nowMs: () => nowMs, onWritable: () => undefined });
  t.after(async () => {
    await log.close();
    rmSync(directory, { recursive: true });
  });
  return { path, log, pass: (ms) => void (nowMs += ms) };
}

const entry = (secret: string, rest: Partial<AuditEntry> = {}): AuditEntry => ({ actor: 'admin', event: 'create', secret, outcome: 'ok', ...rest });

async function read(path: string, filter: AuditFilter = {}): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  for await (const record of readAudit(path, { filter })) records.push(record);
  return records;
}

const secrets = (records: readonly AuditRecord[]): (string | undefined)[] => records.map(({ secret }) => secret);
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, index) => `s${from + index}`);

test('rotated files are read first, in the order in which they were written', async (t) => {
  const { path, log } = logFor(t, 1000, 12);
  for (const name of numbers(0, 100)) await log.append(entry(name));
  assert.deepEqual(secrets(await read(path)), numbers(0, 100));
});

test('what is no whole record is passed over: a torn line, another\'s line, nothing', async (t) => {
  const { path, log } = logFor(t);
  await log.append(entry('a'));
  appendFileSync(path, '{"time":"2026-01-01T00:00:00.000Z","actor":"ad\n\nnull\n[]\n{"time":1}\nnonsense\n');
  await log.append(entry('b'));
  appendFileSync(path, '{"time":"2026-01-01T00:00:00.000Z","actor":"admin","event":"create","outcome":"ok"}');
  assert.deepEqual(secrets(await read(path)), ['a', 'b']);
});

test('records are chosen by VM, by secret with the grants that include it, and by time', async (t) => {
  const { path, log, pass } = logFor(t);
  await log.append(entry('old'));
  pass(3_600_000);
  await log.append(entry('a', { event: 'read', vm: 'web-1' }));
  await log.append(entry('web-1', { vm: 'web-2' }));
  for (const grant of ['all', ['a', 'b'], ['b']] as const) await log.append({ actor: 'admin', event: 'grant', vm: 'web-3', outcome: 'ok', grant: grant === 'all' ? 'all' : [...grant] });
  await log.append({ actor: 'admin', event: 'grant', vm: 'web-4', outcome: 'ok', grant: [], credentials: [{ name: 'x', secret: 'a' }] });
  assert.deepEqual(secrets(await read(path, { vm: 'web-1' })), ['a']);
  assert.deepEqual((await read(path, { secret: 'a' })).map(({ vm, grant }) => [vm, grant]),
    [['web-1', undefined], ['web-3', 'all'], ['web-3', ['a', 'b']], ['web-4', []]]);
  assert.equal((await read(path, { sinceMs: Date.UTC(2026, 0, 1, 1) })).length, 6);
  assert.deepEqual(await read(path, { sinceMs: Date.UTC(2026, 0, 2) }), []);
});

test('a file that was last written before the time that is asked for is not read', async (t) => {
  const { path, log } = logFor(t, 1000);
  for (const name of numbers(0, 20)) await log.append(entry(name));
  writeFileSync(`${path}.9`, '{"time":"2030-01-01T00:00:00.000Z","actor":"a","event":"create","outcome":"ok","secret":"never"}\n');
  utimesSync(`${path}.9`, 0, 0);
  assert.ok(!secrets(await read(path, { sinceMs: Date.UTC(2025, 0, 1) })).includes('never'));
  assert.ok(secrets(await read(path)).includes('never'));
});

test('a log that is not there is said not to be', async (t) => {
  const { path } = logFor(t);
  await assert.rejects(read(join(path, '..', 'nope.log')), { code: 'not_found' });
  await assert.rejects(read(join(path, '..', 'nope', 'audit.log')), { code: 'not_found' });
});

test('what is not a file is refused, before a FIFO holds anybody up or a device goes on for ever', async (t) => {
  const { path } = logFor(t);
  execFileSync('mkfifo', [`${path}.fifo`]);
  for (const other of [`${path}.fifo`, '/dev/zero', join(path, '..')]) {
    await assert.rejects(read(other), { code: 'forbidden', message: `the audit log "${other}" is not a file` });
  }
});

test('who follows gets every record once and in order, across as many rotations as there are', async (t) => {
  const { path, log } = logFor(t, 1000, 50);
  const following = new AbortController();
  const news = new News((tell) => log.onWritten(tell));
  const seen: string[] = [];
  const done = (async () => {
    for await (const { secret } of readAudit(path, { filter: {}, more: () => news.next(), signal: following.signal })) {
      seen.push(secret as string);
      if (secret === 's299') return;
    }
  })();
  for (const name of numbers(0, 100)) await log.append(entry(name));
  // Many in one turn, rotated several times before the reader sees any of them.
  const burst = numbers(100, 299).map((name) => log.append(entry(name)));
  await Promise.all(burst);
  await log.append(entry('s299'));
  await done;
  assert.deepEqual(seen, numbers(0, 300));
});
