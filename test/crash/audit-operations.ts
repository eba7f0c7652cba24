// The audit log, struck at any moment: every line that the log made is whole, those that were acknowledged are
// there in their order, whichever of its files they are in, and the log opens again and takes the next.
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFiles } from '../../src/audit/files.ts';
import { openAuditLog, type AuditLog } from '../../src/audit/log.ts';
import { parseRecord, type AuditEntry } from '../../src/audit/record.ts';
import { assertOneOf, type Operation } from './operation.ts';

const KEEP = 4;
/** What a crash of the machine left of a line. */
const HALF_LINE = '{"time":"2026-01-31T12:00:00.000Z","actor":"adm';

const entry = (secret: string): AuditEntry => ({ actor: 'admin', event: 'update', secret, outcome: 'begun' });

const openLog = (directory: string, isFull = false): AuditLog => openAuditLog({
  path: join(directory, 'audit.log'), maxBytes: isFull ? 1 : 65_536, keep: KEEP, nowMs: Date.now, onWritable: () => undefined,
});

interface LogChange {
  readonly before: readonly string[];
  /** Whether there are as many rotated files as the next one leaves room for. */
  readonly isFull?: true;
  /** Whether opening the log is part of it. */
  readonly opens?: true;
  readonly halfLine?: true;
}

const CHANGES: Readonly<Record<string, LogChange>> = {
  'append to the audit log': { before: ['first', 'second'] },
  'make the audit log and append': { before: [], opens: true },
  'rotate the audit log and append': { before: ['first', 'second', 'third', 'fourth'], isFull: true },
  'open an audit log with half a line and append': { before: ['first'], opens: true, halfLine: true },
};

export const AUDIT_OPERATIONS: Readonly<Record<string, Operation>> = Object.fromEntries(
  Object.entries(CHANGES).map(([title, { before, isFull, opens, halfLine }]): [string, Operation] => [title, {
    refusedAs: 'audit_not_writable',
    prepare: async (directory) => {
      mkdirSync(directory, { mode: 0o700 });
      if (before.length === 0) return;
      const log = openLog(directory, isFull);
      for (const secret of before) await log.append(entry(secret));
      await log.close();
      if (halfLine) appendFileSync(join(directory, 'audit.log'), HALF_LINE);
    },
    begin: async (directory) => {
      if (opens) return async () => openLog(directory).append(entry('changed'));
      const log = openLog(directory, isFull);
      return () => log.append(entry('changed'));
    },
    check: async (directory, outcome) => {
      const log = openLog(directory);
      await log.append(entry('next'));
      await log.close();
      const lines = findFiles(log.path).flatMap(({ path }) => linesOf(path)).filter((line) => !(halfLine && line === HALF_LINE));
      const found = lines.map((line) => parseRecord(line)?.secret ?? `no record: ${line}`);
      // A line that reached the file and not the disk is refused, and may be there: it says of a change that it begins.
      assertOneOf(found, [...before, 'next'], [...before, 'changed', 'next'], outcome === 'refused' ? 'unknown' : outcome);
    },
  }]));

/** Throws unless the last line is whole too. */
function linesOf(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  if (lines.pop() !== '') throw new Error(`${path} ends with half a line`);
  return lines;
}
