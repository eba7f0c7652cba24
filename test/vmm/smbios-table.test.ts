// The room for OEM strings, asked of the QEMU that is here: given a string that is too long, it says how
// long its tables would be.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { oemStringsMaxBytes, ownTableBytes, TABLES_MAX_BYTES } from '../../src/delivery/smbios-table.ts';
import { findProgram } from '../../src/vm/programs.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Too long for any table, and with the NUL that ends it. */
const STRING_BYTES = 70_000;

const qemu = await findProgram('qemu-system-x86_64', process.env['PATH'] ?? '');
const skip = qemu === undefined && 'qemu-system-x86_64 is missing: apt-get install qemu-system-x86';
const directory = mkdtempSync(join(tmpdir(), 'slicer-smbios-'));
const file = join(directory, 'string');
after(() => rmSync(directory, { recursive: true }));
writeFileSync(file, 'x'.repeat(STRING_BYTES));

const run = async (...argv: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(qemu as string, argv).catch((error: { stdout: string; stderr: string }) => error);

/** What the tables hold besides OEM strings, for so much memory, none of which is touched. */
async function measured(ramBytes: number, cpus: number): Promise<number> {
  const { stderr } = await run(
    '-no-user-config', '-nodefaults', '-display', 'none', '-S', '-smp', String(cpus), '-m', `${ramBytes / MIB}M`,
    '-object', `memory-backend-ram,id=m,size=${ramBytes / MIB}M,reserve=off`,
    '-machine', 'q35,accel=tcg,smbios-entry-point-type=32,memory-backend=m', '-cpu', 'qemu64', '-smbios', `type=11,path=${file}`,
  );
  const [, length] = /table length (\d+) exceeds/.exec(stderr) ?? [];
  assert.ok(length, stderr);
  return Number(length) - STRING_BYTES - 1;
}

for (const [ramBytes, cpus] of [
  [64 * MIB, 1], [64 * MIB, 255], [2815 * MIB, 1], [2816 * MIB, 1], [16 * GIB, 1], [16 * GIB + MIB, 2], [32 * GIB, 1], [160 * GIB, 1],
  [160 * GIB + MIB, 1], [192 * GIB, 1],
] as const) {
  test(`QEMU's own tables are as long as planned for ${ramBytes / MIB} MiB and ${cpus} CPUs`, { skip }, async () => {
    const version = /^q35 .*\(alias of (\S+)\)/m.exec((await run('-machine', 'help')).stdout)?.[1] ?? '';
    const own = await measured(ramBytes, cpus);
    assert.ok(own <= TABLES_MAX_BYTES - oemStringsMaxBytes(ramBytes, false), `${own} bytes: what a plan lets through must fit`);
    if (version === 'pc-q35-7.2') assert.equal(own, ownTableBytes(ramBytes, version.length));
  });
}
