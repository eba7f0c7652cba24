// The answer of an audit request: JSON lines turned into records.
import type { IncomingMessage } from 'node:http';
import type { AuditRecord } from '../api/audit.ts';
import { fail } from '../errors/slicer-error.ts';
import { isAuditRecord } from './shape.ts';

/** The longest is a grant that names every secret. */
const LINE_MAX_CHARACTERS = 8 * 1024 * 1024;

/** Ends with the answer; throws daemon_unreachable when the connection is lost before that. */
export async function* auditRecords(response: IncomingMessage): AsyncGenerator<AuditRecord> {
  let rest = '';
  try {
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() as string;
      if (rest.length > LINE_MAX_CHARACTERS) throw unexpected();
      for (const line of lines) yield recordOf(line);
    }
  } catch (error) {
    if ((error as Error).name === 'SlicerError') throw error;
    throw fail('daemon_unreachable', 'the connection to the daemon was lost', 'see whether the daemon runs: slicer info');
  } finally {
    response.destroy();
  }
}

function recordOf(line: string): AuditRecord {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    throw unexpected();
  }
  if (isAuditRecord(record)) return record;
  throw unexpected();
}

const unexpected = () => fail('internal', 'the daemon sent an audit record that this version of slicer does not know', 'compare versions with: slicer info');
