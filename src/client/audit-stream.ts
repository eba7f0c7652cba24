// The answer of an audit request: JSON lines turned into records.
import type { IncomingMessage } from 'node:http';
import type { AuditRecord } from '../api/audit.ts';
import { fail } from '../errors/slicer-error.ts';
import { jsonLines } from './json-lines.ts';
import { isAuditRecord } from './shape.ts';

/** The longest is a grant that names every secret. */
const LINE_MAX_CHARACTERS = 8 * 1024 * 1024;

/** Ends with the answer; throws daemon_unreachable when the connection is lost before that. */
export async function* auditRecords(response: IncomingMessage): AsyncGenerator<AuditRecord> {
  for await (const record of jsonLines(response, LINE_MAX_CHARACTERS, { lost, unexpected })) {
    if (!isAuditRecord(record)) throw unexpected();
    yield record;
  }
}

const lost = () => fail('daemon_unreachable', 'the connection to the daemon was lost', 'see whether the daemon runs: slicer info');
const unexpected = () => fail('internal', 'the daemon sent an audit record that this version of slicer does not know', 'compare versions with: slicer info');
