import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { GuestRecords } from '../../src/audit/guest-records.ts';
import { LimitedRecords } from '../../src/audit/limited-records.ts';
import type { AuditLog } from '../../src/audit/log.ts';
import { readEntry, type AuditEntry } from '../../src/audit/record.ts';
import { TokenBucket } from '../../src/live/token-bucket.ts';

function memoryLog(): { entries: AuditEntry[] } & Pick<AuditLog, 'note' | 'noteReads'> {
  const entries: AuditEntry[] = [];
  return {
    entries,
    note: async (...more) => void entries.push(...more),
    noteReads: async (vm, reads) => void entries.push(...reads.map((read) => readEntry(vm, read))),
  };
}

const total = (entries: readonly AuditEntry[]): number => entries.reduce((sum, { suppressed = 0 }) => sum + 1 + suppressed, 0);

function bench(t: TestContext) {
  let nowMs = 0;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const log = memoryLog();
  const pass = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  return { log, pass, records: new GuestRecords(log, (rate) => new TokenBucket(rate, () => nowMs)) };
}

test('every refusal of a guest is on record, as a record of its own or in the count of one', (t) => {
  const { log, pass, records } = bench(t);
  for (let count = 0; count < 10_000; count += 1) records.refused('web-1', count % 2 === 0 ? 'wrong_key' : 'no_key');
  records.refused('web-2', 'no_key');
  assert.equal(log.entries.length, 21);
  pass(10_000);
  assert.equal(log.entries.length, 22);
  pass(10_000);
  assert.equal(log.entries.length, 23);
  const of = (vm: string, reason: string): AuditEntry[] => log.entries.filter((entry) => entry.vm === vm && entry.reason === reason);
  assert.deepEqual([total(of('web-1', 'wrong_key')), total(of('web-1', 'no_key')), total(of('web-2', 'no_key'))], [5_000, 5_000, 1]);
  assert.equal(records.suppressed, 10_001 - 23);
  pass(3_600_000);
  assert.equal(log.entries.length, 23);
});

test('a guest that goes on for a day writes what the rate allows', (t) => {
  const { log, pass, records } = bench(t);
  for (let second = 0; second < 24 * 3600; second += 10) {
    records.refused('web-1', 'no_key');
    records.refused('web-1', 'wrong_key');
    pass(10_000);
  }
  assert.ok(log.entries.length <= 20 + 24 * 360, `${log.entries.length}`);
});

test('counts that wait are put on record when the VM is gone', (t) => {
  const { log, records } = bench(t);
  for (let count = 0; count < 100; count += 1) records.refused('web-1', 'too_many_requests');
  records.end('web-1');
  assert.deepEqual([log.entries.length, total(log.entries), log.entries.at(-1)?.suppressed], [21, 100, 79]);
});

test('every first read of a version is on record, and a guest that reads again and again is counted', async (t) => {
  const { log, records } = bench(t);
  const all = Array.from({ length: 100 }, (_, index) => ({ secret: `s${index}`, version: index + 1 }));
  for (let count = 0; count < 50; count += 1) await records.read('web-1', all, 100);
  assert.equal(log.entries.length, 100 + 1_000);
  // Changes come through at any time.
  for (let version = 101; version <= 5_100; version += 1) await records.read('web-1', [{ secret: 's0', version }], version);
  assert.equal(log.entries.length, 1_100 + 5_000);
  records.end('web-1');
  assert.equal(total(log.entries), 50 * 100 + 5_000);
  await records.read('web-1', all, 100);
  assert.equal(total(log.entries), 51 * 100 + 5_000);
});

test('a read names the secret and the credential that it is read as', async (t) => {
  const { log, records } = bench(t);
  await records.read('web-1', [{ secret: 'db', version: 1 }, { secret: 'db', credential: 'db.conf', version: 1 }], 1);
  assert.deepEqual(log.entries, [
    { actor: 'vm', event: 'read', vm: 'web-1', secret: 'db', outcome: 'ok', channel: 'live' },
    { actor: 'vm', event: 'read', vm: 'web-1', secret: 'db', outcome: 'ok', channel: 'live', credential: 'db.conf' },
  ]);
});

test('whatever comes when, the counts are those of what came', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  fc.assert(fc.property(fc.array(fc.record({ source: fc.constantFrom('a', 'b'), key: fc.constantFrom('x', 'y', 'z'), waitMs: fc.nat({ max: 30_000 }) })), (events) => {
    let nowMs = 0;
    const log = memoryLog();
    const records = new LimitedRecords(log, () => new TokenBucket({ burst: 3, perSecond: 0.1 }, () => nowMs));
    for (const { source, key, waitMs } of events) {
      nowMs += waitMs;
      t.mock.timers.tick(waitMs);
      void records.note(source, key, { actor: source, event: 'refusal', outcome: 'refused', reason: key });
    }
    records.endAll();
    const came = (source: string, key: string): number => events.filter((event) => event.source === source && event.key === key).length;
    for (const source of ['a', 'b']) {
      for (const key of ['x', 'y', 'z']) {
        assert.equal(total(log.entries.filter(({ actor, reason }) => actor === source && reason === key)), came(source, key));
      }
    }
    assert.equal(total(log.entries), log.entries.length + records.suppressed);
  }));
});
