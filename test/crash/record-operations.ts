// VMs' records, struck at any moment: each is whole, and one that was acknowledged is there.
import { mkdirSync, readdirSync } from 'node:fs';
import { RecordDirectory } from '../../src/vm/record-directory.ts';
import type { AttachedRecord } from '../../src/vm/record.ts';
import { assertOneOf, type Operation } from './operation.ts';

const UID = process.geteuid?.() as number;
const OLD: AttachedRecord = {
  version: 1, kind: 'attached', hostname: 'web-1', grant: 'all', tags: [], created_at_ms: 5, vsock_path: '/run/x.vsock',
};
const NEW: AttachedRecord = { ...OLD, tags: ['new'] };
const NEXT: AttachedRecord = { ...OLD, tags: ['next'] };

interface RecordChange {
  readonly before: readonly AttachedRecord[];
  readonly after: readonly AttachedRecord[];
  readonly change: (records: RecordDirectory) => Promise<void>;
}

const CHANGES: Readonly<Record<string, RecordChange>> = {
  'record a VM': { before: [], after: [NEW], change: (records) => records.create(NEW) },
  'replace the record of a VM': { before: [OLD], after: [NEW], change: (records) => records.replace(NEW) },
  'remove the record of a VM': { before: [OLD], after: [], change: (records) => records.remove('web-1') },
};

export const RECORD_OPERATIONS: Readonly<Record<string, Operation>> = Object.fromEntries(
  Object.entries(CHANGES).map(([title, { before, after, change }]): [string, Operation] => [title, {
    prepare: async (directory) => {
      mkdirSync(directory, { mode: 0o700 });
      const records = await RecordDirectory.open(directory, UID);
      for (const record of before) await records.create(record);
    },
    begin: async (directory) => {
      const records = await RecordDirectory.open(directory, UID);
      return () => change(records);
    },
    check: async (directory, outcome) => {
      const records = await RecordDirectory.open(directory, UID);
      const found = await records.readAll();
      assertOneOf(found.map(({ record, damage }) => record ?? damage), before, after, outcome);
      const left = readdirSync(records.path, { recursive: true, encoding: 'utf8' }).filter((path) => !['web-1', 'web-1/vm.json'].includes(path));
      if (left.length > 0) throw new Error(`left beside the records: ${left.join(', ')}`);
      if (found.length > 0) await records.replace(NEXT);
      else await records.create(NEXT);
    },
  }]));
