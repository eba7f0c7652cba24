// The audit log of a daemon under test: what stands in its file.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditRecord } from '../../src/api/audit.ts';
import { parseRecord } from '../../src/audit/record.ts';

export const auditFile = (directory: string): string => join(directory, '.slicer', 'audit.log');

/** Every line must be a record. */
export function auditRecords(directory: string): AuditRecord[] {
  return readFileSync(auditFile(directory), 'utf8').split('\n').filter((line) => line !== '').map((line) => {
    const record = parseRecord(line);
    if (record === undefined) throw new Error(`no record: ${line}`);
    return record;
  });
}

/** Those of an event, without time and id, beginnings aside. */
export function recordsOf(directory: string, event: AuditRecord['event']): Omit<AuditRecord, 'time' | 'id'>[] {
  return auditRecords(directory).filter((record) => record.event === event && record.outcome !== 'begun').map(({ time: _time, id: _id, ...rest }) => rest);
}
