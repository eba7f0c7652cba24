// One run of the nested lab: its system, the payload, and a machine that runs test files of test/vm-real on the
// real VMMs. Whatever happens, the run's files and its machine are gone afterwards.
import { rm } from 'node:fs/promises';
import { delimiter } from 'node:path';
import type { Writable } from 'node:stream';
import { temporaryDirectory } from '../../image/cache.ts';
import { findCommand } from '../../image/command.ts';
import type { Stages } from '../../scripts/stage.ts';
import { fail } from '../../src/errors/slicer-error.ts';
import { findAccelerator } from '../../src/vmm/accelerator.ts';
import { runOuterMachine } from './outer-machine.ts';
import { ensureOuterSystem } from './outer-system.ts';
import { hasDebianImage, makePayload } from './payload.ts';

/** VMMs that the lab runs when it is given them; QEMU it has. */
export const BROUGHT_VMMS = ['cloud-hypervisor', 'firecracker'] as const;
export type BroughtVmm = (typeof BROUGHT_VMMS)[number];

/** Paths of programs. */
export type VmmPaths = Readonly<Partial<Record<BroughtVmm, string>>>;

export interface LabOptions {
  readonly vmms: VmmPaths;
  /** Paths below the checkout. */
  readonly testFiles: readonly string[];
  readonly testLimitMs: number;
  readonly limitMs: number;
  readonly output: Writable;
  /** Shows how the lab's system is made, the first time. */
  readonly stages: Stages;
  readonly signal?: AbortSignal;
}

/** `given` first, then `SLICER_LAB_CLOUD_HYPERVISOR` and `SLICER_LAB_FIRECRACKER`, then the PATH. Throws usage. */
export function findVmms(given: VmmPaths, environment: NodeJS.ProcessEnv): VmmPaths {
  const found = BROUGHT_VMMS.flatMap((name): [BroughtVmm, string][] => {
    const variable = `SLICER_LAB_${name.replaceAll('-', '_').toUpperCase()}`;
    const wanted = given[name] ?? environment[variable];
    if (wanted === undefined || wanted === '') {
      const installed = findCommand(name);
      return installed === undefined ? [] : [[name, installed]];
    }
    const [, directory, file] = /^(.*?)([^/]+)$/.exec(wanted) ?? [];
    const path = file === undefined ? undefined : findCommand(file, [directory || '.'].join(delimiter));
    if (path === undefined) throw fail('usage', `there is no ${name} at ${wanted}`);
    return [[name, path]];
  });
  return Object.fromEntries(found);
}

/** Runs the test files; the exit code of `node --test`. Throws missing_part, build_failed, launch_failed. */
export async function runLab(options: LabOptions): Promise<number> {
  const system = await options.stages.run('nested lab', ensureOuterSystem);
  const directory = await temporaryDirectory('lab-run');
  try {
    const payload = await makePayload(directory, {
      programs: options.vmms,
      debian: await hasDebianImage(),
      command: ['--test', '--test-concurrency=1', '--test-reporter=spec', `--test-timeout=${options.testLimitMs}`, ...options.testFiles],
    });
    return await runOuterMachine({ ...options, system, payload, directory });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Why the tests need no nested lab on this machine, or can't have it, in one line; false when it can run. */
export async function labObstacle(): Promise<string | false> {
  if (process.arch !== 'x64') return 'the emulated machine is an x86-64 with the Node of this one';
  if (await findAccelerator(undefined) === 'kvm') return 'this machine has KVM itself: test/vm-real runs on it';
  const missing = { 'qemu-system-x86_64': 'qemu-system-x86', setpriv: 'util-linux', mke2fs: 'e2fsprogs' };
  for (const [command, name] of Object.entries(missing)) {
    if (findCommand(command) === undefined) return `${command} is missing: apt-get install ${name}`;
  }
  return false;
}
