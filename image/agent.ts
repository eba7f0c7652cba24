// Where the agents of an installed Slicer or of a checkout are. They are built beside the host's bundle,
// so they are found by the program that runs: the bundle, or a source or a test below the checkout.
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../src/errors/slicer-error.ts';
import { AGENT_ARCHS, type AgentArch } from './compiler.ts';

/** File name of the agent for an architecture. */
export const agentFileName = (arch: AgentArch): string => `slicer-agent-${arch}`;

/**
 * Path of the agent for an architecture. `program` is the path of the running program. Throws missing_part
 * where it was not built.
 */
export function findAgent(arch: AgentArch, program = process.argv[1]): string {
  for (const directory of program === undefined ? [] : agentDirectories(program)) {
    const path = join(directory, agentFileName(arch));
    if (existsSync(path)) return path;
  }
  throw fail('missing_part', `the agent for ${arch} (${AGENT_ARCHS.join(', ')} are known) is not built`, 'npm run build');
}

function agentDirectories(program: string): string[] {
  const start = dirname(existsSync(program) ? realpathSync(program) : program);
  const directories = [start];
  // Up to the root of this package and no further: a file of that name elsewhere is somebody else's.
  for (let directory = start; ; directory = dirname(directory)) {
    if (isPackageRoot(directory)) return [...directories, join(directory, 'build')];
    if (directory === dirname(directory)) return directories;
  }
}

function isPackageRoot(directory: string): boolean {
  const file = join(directory, 'package.json');
  return existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }).name === 'slicer';
}
