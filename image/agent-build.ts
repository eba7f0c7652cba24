// Builds the agent: one static program for each architecture, from TypeScript, QuickJS and one C file.
//   1. esbuild joins agent/main.ts and what it imports into one module, and agent/auxiliary.ts into another.
//   2. qjsc compiles each to bytecode, in a C file, the first with the engine's parts that the agent needs.
//   3. gcc links them with agent/sys.c, the module `sys`, and the engine.
// Trusted are the checkout, the pinned engine and the machine's compilers.
import { build } from 'esbuild';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentFileName } from './agent.ts';
import { ensureEntry } from './cache.ts';
import { run } from './command.ts';
import { type AgentArch, findCompiler } from './compiler.ts';
import { ENGINE_LIBRARIES, engineInputs, engineObjects, ensureEngine, ensureQjsc } from './quickjs.ts';

// Bytecode is all that an agent ever runs: without the compiler and the loader of modules it is smaller, and
// no text can become code in it.
const OMITTED = ['date', 'eval', 'module-loader', 'proxy', 'string-normalize', 'weakref'].map((feature) => `-fno-${feature}`);

const QJSC_FLAGS = ['-s', '-m', '-M', 'sys,sys'];
const MAIN_FLAGS = ['-e', '-N', 'agent', ...OMITTED];
/** Only the bytecode, which sys.c has under this name. */
const AUXILIARY_FLAGS = ['-c', '-N', 'auxiliary'];
const CC_FLAGS = ['-O2', '-ffunction-sections', '-fdata-sections', '-Wall', '-Wextra', '-Wno-unused-parameter'];
const LINK_FLAGS = ['-static', '-s', '-Wl,--gc-sections'];

/** Path of the agent for an architecture, built from the sources of a checkout if it wasn't before. */
export async function ensureAgent(arch: AgentArch, checkout: string): Promise<string> {
  const [compiler, main, auxiliary, sys] = await Promise.all([
    findCompiler(arch),
    bundleScript(checkout, 'agent/main.ts'),
    bundleScript(checkout, 'agent/auxiliary.ts'),
    readFile(join(checkout, 'agent/sys.c')),
  ]);
  const inputs = [main, auxiliary, sys, ...QJSC_FLAGS, ...MAIN_FLAGS, ...AUXILIARY_FLAGS, ...CC_FLAGS, ...LINK_FLAGS, ...engineInputs(compiler)];
  const entry = await ensureEntry(`agent-${arch}`, inputs, async (directory) => {
    const [engine, qjsc] = await Promise.all([ensureEngine(arch), ensureQjsc()]);
    const file = (name: string) => join(directory, name);
    await writeFile(file('agent.js'), main);
    await writeFile(file('auxiliary.js'), auxiliary);
    await writeFile(file('sys.c'), sys);
    await run(qjsc, [...QJSC_FLAGS, ...MAIN_FLAGS, '-o', file('agent.c'), file('agent.js')]);
    await run(qjsc, [...QJSC_FLAGS, ...AUXILIARY_FLAGS, '-o', file('auxiliary.c'), file('auxiliary.js')]);
    const sources = [file('agent.c'), file('auxiliary.c'), file('sys.c')];
    const target = file(agentFileName(arch));
    await run(compiler.command, [
      ...CC_FLAGS,
      ...LINK_FLAGS,
      `-I${engine}`,
      ...['-o', target],
      ...sources,
      ...engineObjects(engine),
      ...ENGINE_LIBRARIES,
    ]);
    await Promise.all(sources.map((source) => rm(source)));
  });
  return join(entry, agentFileName(arch));
}

/** A script of the agent's: one ES module that imports nothing but the engine's modules and `sys`. */
async function bundleScript(checkout: string, entryPoint: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string };
  const { outputFiles } = await build({
    absWorkingDir: checkout,
    entryPoints: [entryPoint],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2023',
    platform: 'neutral',
    external: ['std', 'os', 'sys'],
    minify: true,
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'silent',
  });
  return outputFiles.map((file) => file.text).join('');
}
