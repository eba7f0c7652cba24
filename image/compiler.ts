// The C compilers of the two architectures that agents are built for.
import { stat } from 'node:fs/promises';
import { fail } from '../src/errors/slicer-error.ts';
import { findCommand, run } from './command.ts';

/** As uname(2) names them. */
export const AGENT_ARCHS = ['x86_64', 'aarch64'] as const;
export type AgentArch = (typeof AGENT_ARCHS)[number];

/** This machine's, if agents are built for it. */
export const HOST_ARCH: AgentArch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

export interface Compiler {
  readonly command: string;
  /** Changes whenever what it produces may change: its version, its target and the libc that it links. */
  readonly identity: string;
}

const CROSS_PACKAGES: Record<AgentArch, readonly string[]> = {
  x86_64: ['gcc-x86-64-linux-gnu', 'libc6-dev-amd64-cross'],
  aarch64: ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross'],
};

/** Debian's packages with the compiler for an architecture. */
export const compilerPackages = (arch: AgentArch): readonly string[] =>
  arch === HOST_ARCH ? ['gcc', 'libc6-dev'] : CROSS_PACKAGES[arch];

const known = new Map<AgentArch, Promise<Compiler>>();

/** The compiler whose programs run on `arch`. Throws missing_part with the packages to install. */
export function findCompiler(arch: AgentArch): Promise<Compiler> {
  let compiler = known.get(arch);
  if (compiler === undefined) {
    compiler = identify(arch);
    // A compiler that is missing may be installed a moment later.
    compiler.catch(() => known.delete(arch));
    known.set(arch, compiler);
  }
  return compiler;
}

async function identify(arch: AgentArch): Promise<Compiler> {
  const command = arch === HOST_ARCH ? 'gcc' : `${arch}-linux-gnu-gcc`;
  const hint = `apt-get install ${compilerPackages(arch).join(' ')}`;
  if (findCommand(command) === undefined) throw fail('missing_part', `no C compiler for ${arch}: ${command}`, hint);
  const version = await run(command, ['-dumpfullversion', '-dumpmachine']);
  const libc = (await run(command, ['-print-file-name=libc.a'])).trim();
  // Where it does not exist, gcc answers with the bare name.
  const file = libc.includes('/') ? await stat(libc).catch(() => undefined) : undefined;
  if (file === undefined) throw fail('missing_part', `no static C library for ${arch}`, hint);
  return { command, identity: `${version} libc ${file.size} ${file.mtimeMs}` };
}
