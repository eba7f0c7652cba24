import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { findAgent } from '../../image/agent.ts';
import { ensureAgent } from '../../image/agent-build.ts';
import { findCommand } from '../../image/command.ts';
import { AGENT_ARCHS, HOST_ARCH } from '../../image/compiler.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
/** e_machine of the ELF header (elf(5)). */
const ELF_MACHINE = { x86_64: 62, aarch64: 183 };
const PROGRAM_INTERPRETER = 3;
const MAX_BYTES = 2_500_000;

const { version } = JSON.parse(readFileSync(resolve(CHECKOUT, 'package.json'), 'utf8')) as { version: string };

function programHeaderTypes(elf: Buffer): number[] {
  const start = Number(elf.readBigUInt64LE(0x20));
  return Array.from({ length: elf.readUInt16LE(0x38) }, (_, index) => elf.readUInt32LE(start + index * elf.readUInt16LE(0x36)));
}

for (const arch of AGENT_ARCHS) {
  test(`the agent for ${arch} is one static program of at most 2.5 MB`, () => {
    const elf = readFileSync(findAgent(arch));
    assert.equal(elf.toString('latin1', 0, 4), '\x7fELF');
    assert.equal(elf.readUInt16LE(0x12), ELF_MACHINE[arch]);
    assert.ok(!programHeaderTypes(elf).includes(PROGRAM_INTERPRETER), 'asks for a dynamic linker');
    assert.ok(elf.length <= MAX_BYTES, `has ${elf.length} bytes`);
  });

  const emulator = arch === HOST_ARCH ? 'none' : findCommand(`qemu-${arch}`) ?? findCommand(`qemu-${arch}-static`);
  const skip = emulator === undefined ? `qemu-${arch} is missing: apt-get install qemu-user` : false;
  test(`the agent for ${arch} runs, and is of the package's version`, { skip }, () => {
    const [program, ...args] = [...(emulator === 'none' ? [] : [emulator as string]), findAgent(arch), 'version'];
    assert.equal(execFileSync(program as string, args, { encoding: 'utf8' }), `${version}\n`);
  });

  test(`build/ holds the agent for ${arch} of these very sources`, async () => {
    const [present, wanted] = [readFileSync(findAgent(arch)), readFileSync(await ensureAgent(arch, CHECKOUT))];
    // No deepEqual: showing how two programs differ takes minutes.
    assert.ok(present.equals(wanted), `${findAgent(arch)} is of other sources: npm run build`);
  });
}
