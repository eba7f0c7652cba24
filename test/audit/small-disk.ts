// Writes records of 1,000 bytes or so until the limit of file sizes that it was started with (setrlimit(2),
// RLIMIT_FSIZE) cuts one short, as a full disk does; then says what was refused and goes on with short ones.
import { openAuditLog } from '../../src/audit/log.ts';

const log = openAuditLog({ path: process.argv[2] as string, maxBytes: 1e9, keep: 1, nowMs: Date.now, onWritable: () => undefined });
let refused = 0;
for (let number = 0; refused === 0; number += 1) {
  await log.append({ actor: 'admin', event: 'grant', vm: `vm-${number}`, outcome: 'ok', grant: Array.from({ length: 100 }, (_, index) => `secret-${index}`) })
    .catch(({ code }: { code: string }) => void (refused += Number(code === 'audit_not_writable')));
}
const { written, lost } = log.counts();
process.stdout.write(`${JSON.stringify({ written, lost })}\n`);
