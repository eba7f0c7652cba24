import { watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { AuditRecord } from '../../api/audit.ts';
import { News } from '../../audit/news.ts';
import { readAudit } from '../../audit/reader.ts';
import { fail } from '../../errors/slicer-error.ts';
import { AuditTable } from '../audit-table.ts';
import { addConnectionOptions, clientFor, hasUrl } from '../connection.ts';
import type { Context } from '../context.ts';
import { secretName } from '../option-values.ts';
import { parseSince } from '../since.ts';

interface Flags {
  readonly vm?: string;
  readonly secret?: string;
  readonly since?: number;
  readonly follow?: true;
  readonly json?: true;
  readonly file?: string;
}

const EXAMPLES = `
Who changed, was granted, read and was refused what; never a value. +20 in the last column
stands for 20 more like that one, which have no line of their own. With --file the log is read
without a daemon, its rotated files first.

Examples:
  $ slicer audit --since=1h
  $ slicer audit --secret=db-password --follow
  $ slicer audit --vm=web-1 --json | jq -r 'select(.outcome == "refused") | .reason'
  $ sudo slicer audit --file=/srv/slicer/.slicer/audit.log --since=2026-01-31`;

export function configure(command: Command, context: Context): void {
  command
    .option('--vm <name>', 'only of this VM')
    .option('--secret <name>', 'only of this secret, and grants that include it', secretName)
    .option('--since <time>', 'only what is not older: 30m, 12h, 7d, 2026-01-31 or 2026-01-31T08:00:00Z', (text) => parseSince(text, Date.now()))
    .option('-f, --follow', 'go on with what is still to come')
    .option('--json', 'records as JSON lines, as the log has them')
    .option('--file <path>', 'read this log, without a daemon');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      if (flags.file !== undefined && hasUrl(command, context)) throw fail('usage', '--file is for reading without a daemon: it excludes --url');
      const records = flags.file === undefined
        ? clientFor(command, context).audit({
          vm: flags.vm, secret: flags.secret, follow: flags.follow, ...(flags.since === undefined ? {} : { since: new Date(flags.since).toISOString() }),
        })
        : fromFile(resolve(flags.file), flags);
      const write = (line: string): void => void context.stdout.write(line);
      if (flags.json) {
        for await (const record of records) write(`${JSON.stringify(record)}\n`);
        return;
      }
      const { isTTY, columns } = context.stdout as { isTTY?: boolean; columns?: number };
      const table = new AuditTable(write, isTTY === true ? columns : undefined);
      for await (const record of records) table.add(record);
      table.end();
    });
}

async function* fromFile(path: string, { vm, secret, since: sinceMs, follow }: Flags): AsyncGenerator<AuditRecord> {
  const filter = { vm, secret, sinceMs };
  if (!follow) return yield* readAudit(path, { filter });
  const news = new News((tell) => {
    const watcher = watch(dirname(path), tell);
    return () => watcher.close();
  });
  try {
    yield* readAudit(path, { filter, more: () => news.next() });
  } finally {
    news.close();
  }
}
