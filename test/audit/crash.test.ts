import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import type { AuditRecord } from '../../src/api/audit.ts';
import { openAuditLog } from '../../src/audit/log.ts';
import { readAudit } from '../../src/audit/reader.ts';

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-audit-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function recordsIn(directory: string): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  for await (const record of readAudit(join(directory, 'audit.log'), { filter: {} })) records.push(record);
  return records;
}

test('Nothing is changed without a record, and nothing is acknowledged without one, whenever the process is killed', async (t) => {
  const directory = directoryFor(t);
  const acknowledged: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    const changer = spawn(process.execPath, [join(import.meta.dirname, 'endless-changer.ts'), directory, `r${round}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(changer, 'close');
    createInterface({ input: changer.stdout }).on('line', (line) => {
      acknowledged.push(`r${round}-${line}`);
      if (Number(line) === 10 + round * 3) changer.kill('SIGKILL');
    });
    await ended;
  }
  const records = await recordsIn(directory);
  const of = (outcome: string): Set<string | undefined> => new Set(records.filter((record) => record.outcome === outcome).map(({ secret }) => secret));
  const [begun, ok] = [of('begun'), of('ok')];
  assert.ok(acknowledged.length >= 5 * 11);
  for (const secret of acknowledged) assert.ok(ok.has(secret), `${secret} was acknowledged`);
  for (const secret of readdirSync(join(directory, '.secrets')).filter((name) => !name.startsWith('.'))) assert.ok(begun.has(secret), `${secret} is in the store`);
  // What has begun and not ended is at most what was under way when a process was killed.
  assert.ok([...begun].filter((secret) => !ok.has(secret)).length <= 5);
});

test('a record that a full disk cuts short is none, and is taken back', (t) => {
  const path = join(directoryFor(t), 'audit.log');
  const limit = 16_000;
  const said = execFileSync('prlimit', [`--fsize=${limit}`, process.execPath, join(import.meta.dirname, 'small-disk.ts'), path], { encoding: 'utf8' });
  const { written, lost } = JSON.parse(said) as { written: number; lost: number };
  const text = readFileSync(path, 'utf8');
  assert.ok(text.length > limit - 2_000 && text.endsWith('}\n'), `${text.length}`);
  assert.deepEqual([text.split('\n').length - 1, lost], [written, 1]);
  const log = openAuditLog({ path, maxBytes: 1e9, keep: 1, nowMs: Date.now, onWritable: () => undefined });
  return log.append({ actor: 'admin', event: 'create', outcome: 'ok' }).then(() => log.close()).then(() => {
    for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) JSON.parse(line);
  });
});
