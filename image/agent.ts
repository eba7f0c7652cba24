// The agents that come with Slicer: a checkout and a package have them in `build/`.
import { fail } from '../src/errors/slicer-error.ts';
import type { AgentArch } from './compiler.ts';
import { findInstalled } from './installation.ts';

/** File name of the agent for an architecture. */
export const agentFileName = (arch: AgentArch): string => `slicer-agent-${arch}`;

/** Path of the agent for an architecture. Throws missing_part where it was not built. */
export function findAgent(arch: AgentArch): string {
  const name = agentFileName(arch);
  const path = findInstalled({ besideBundle: name, belowRoot: `build/${name}` });
  if (path === undefined) throw fail('missing_part', `${name} is not built`, 'npm run build');
  return path;
}
