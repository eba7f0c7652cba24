// QuickJS, from the source that Debian ships, pinned by its SHA-256: the compiler of JavaScript for this
// machine, and the engine as object files for each architecture that the agent runs on.
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GUEST_ARCH, openArchive } from './archive.ts';
import { ensureEntry } from './cache.ts';
import { run } from './command.ts';
import { type AgentArch, type Compiler, findCompiler, HOST_ARCH } from './compiler.ts';

const VERSION = '2025-04-26';
const SUITE = 'trixie';
const SHA256 = 'ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe';

const UNITS = ['quickjs', 'dtoa', 'libregexp', 'libunicode', 'cutils', 'quickjs-libc'];
const HEADERS = ['quickjs.h', 'quickjs-libc.h'];

// As QuickJS's own Makefile has them, but for -O3: a start of the agent is 8 % fewer instructions, its file 5 % larger.
// Each function in a section of its own lets the linker leave out what the agent does not use; warnings are the
// engine's business.
const FLAGS = ['-O3', '-fwrapv', '-w', '-ffunction-sections', '-fdata-sections', '-D_GNU_SOURCE', `-DCONFIG_VERSION="${VERSION}"`];

/** What object files and headers depend on; part of the identity of whatever is linked with them. */
export const engineInputs = (compiler: Compiler): readonly string[] => [SHA256, compiler.identity, ...FLAGS];

/** Directory with the engine's object files (`*.o`) and headers for an architecture. */
export async function ensureEngine(arch: AgentArch): Promise<string> {
  const compiler = await findCompiler(arch);
  return ensureEntry(`quickjs-${arch}`, engineInputs(compiler), async (directory) => {
    const source = await ensureSource();
    const compile = (unit: string) =>
      run(compiler.command, [...FLAGS, '-c', join(source, `${unit}.c`), '-o', join(directory, `${unit}.o`)]);
    // quickjs.c takes most of the time, alone: the others are done beside it.
    const [first, ...others] = UNITS as [string, ...string[]];
    const rest = async () => {
      for (const unit of others) await compile(unit);
    };
    await Promise.all([compile(first), rest()]);
    for (const header of HEADERS) await copyFile(join(source, header), join(directory, header));
  });
}

/** The engine's object files, in the directory that `ensureEngine` returned. */
export const engineObjects = (engine: string): readonly string[] => UNITS.map((unit) => join(engine, `${unit}.o`));

/** Libraries of the C library that the engine needs. */
export const ENGINE_LIBRARIES = ['-lm', '-ldl', '-lpthread'];

/** Path of `qjsc`, which turns a JavaScript module into C with its bytecode; it runs on this machine. */
export async function ensureQjsc(): Promise<string> {
  const compiler = await findCompiler(HOST_ARCH);
  const entry = await ensureEntry('qjsc', engineInputs(compiler), async (directory) => {
    const [source, engine] = await Promise.all([ensureSource(), ensureEngine(HOST_ARCH)]);
    await run(compiler.command, [
      ...FLAGS,
      '-o',
      join(directory, 'qjsc'),
      join(source, 'qjsc.c'),
      ...engineObjects(engine),
      ...ENGINE_LIBRARIES,
    ]);
  });
  return join(entry, 'qjsc');
}

async function ensureSource(): Promise<string> {
  const entry = await ensureEntry('quickjs-source', [SHA256], async (directory) => {
    const archive = await openArchive(SUITE, GUEST_ARCH);
    const tarball = await archive.fetchSource('quickjs', SHA256, directory);
    const source = join(directory, 'source');
    await mkdir(source);
    await run('tar', ['-xf', tarball, '-C', source, '--strip-components=1', '--no-same-owner']);
  });
  return join(entry, 'source');
}
