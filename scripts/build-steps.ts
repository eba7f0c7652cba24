// What a checkout's `build/` holds, and how it gets there: every file is replaced by rename, so that a
// program that runs while another build goes on keeps whole files.
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { agentFileName } from '../image/agent.ts';
import { ensureAgent } from '../image/agent-build.ts';
import { findCommand, run } from '../image/command.ts';
import { AGENT_ARCHS } from '../image/compiler.ts';
import { fail } from '../src/errors/slicer-error.ts';
import { bundleCli } from './bundle-cli.ts';
import { allSteps, type Stages } from './stage.ts';

/** The checkout that these scripts belong to. */
export const CHECKOUT = dirname(import.meta.dirname);

const BUILD = join(CHECKOUT, 'build');

/** Bundles the host's part: `build/slicer.cjs` and `build/commands/`. */
export async function buildBundle(): Promise<void> {
  const staging = join(BUILD, `.bundle-${randomBytes(6).toString('hex')}`);
  try {
    const commit = await gitCommit();
    // esbuild has shown what is wrong, and where.
    await bundleCli(CHECKOUT, staging, commit).catch(() => {
      throw fail('build_failed', 'the sources can not be bundled', 'npm run check');
    });
    await mkdir(join(BUILD, 'commands'), { recursive: true });
    // A command's file first: the program that asks for it comes last.
    for (const directory of ['commands', '.']) {
      const files = (await readdir(join(staging, directory), { withFileTypes: true })).filter((entry) => entry.isFile());
      for (const { name } of files) await rename(join(staging, directory, name), join(BUILD, directory, name));
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Builds the agents, side by side: `build/slicer-agent-ARCH`. */
export async function buildAgents(stages: Stages): Promise<void> {
  await allSteps(AGENT_ARCHS.map((arch) => stages.run(`agent for ${arch}`, async () => {
    await place(await ensureAgent(arch, CHECKOUT), join(BUILD, agentFileName(arch)));
  })));
}

/** Puts a copy of a file at a path, unless it is there already. */
async function place(source: string, target: string): Promise<void> {
  const [wanted, present] = await Promise.all([readFile(source), readFile(target).catch(() => undefined)]);
  if (present !== undefined && wanted.equals(present)) return;
  await mkdir(dirname(target), { recursive: true });
  const staging = `${target}.${randomBytes(6).toString('hex')}`;
  try {
    await copyFile(source, staging);
    await chmod(staging, 0o755);
    await rename(staging, target);
  } finally {
    await rm(staging, { force: true });
  }
}

/** The checkout's commit, or `unknown` where it is no checkout of git. */
async function gitCommit(): Promise<string> {
  if (findCommand('git') === undefined) return 'unknown';
  return run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: CHECKOUT }).then((text) => text.trim(), () => 'unknown');
}
