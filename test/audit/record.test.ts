import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatReads, formatRecord, readEntry } from '../../src/audit/record.ts';

const TIME = '2026-01-02T03:04:05.006Z';

test('records of reads that are made for many VMs at once are, byte for byte, those made one by one', () => {
  const read = fc.record({ secret: fc.string({ unit: 'binary' }), credential: fc.string({ unit: 'binary' }) }, { requiredKeys: ['secret'] });
  fc.assert(fc.property(fc.array(read), fc.array(fc.string({ unit: 'binary' })), (reads, vms) => {
    for (const vm of vms) assert.equal(formatReads(TIME, vm, reads), reads.map((one) => formatRecord(TIME, readEntry(vm, one))).join(''));
  }));
});
