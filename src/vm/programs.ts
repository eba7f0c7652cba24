// The programs that a VM is made of, and where they are.
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { QemuPrograms } from '../vmm/qemu.ts';

/** Absolute paths. */
export interface VmPrograms extends QemuPrograms {
  /** The agent's binary for this machine, for its host mode that writes console logs. */
  readonly agent: string;
  /** util-linux's prlimit. */
  readonly prlimit: string;
}

const HINTS: Readonly<Record<keyof VmPrograms, string>> = {
  qemu: 'apt-get install qemu-system-x86',
  vhostDeviceVsock: 'slicer image build',
  agent: 'npm run build',
  prlimit: 'apt-get install util-linux',
};

/** Throws missing_part with every program that is not there. */
export async function checkPrograms(programs: VmPrograms): Promise<void> {
  const problems: Problem[] = [];
  for (const part of Object.keys(HINTS) as (keyof VmPrograms)[]) {
    if (await isExecutable(programs[part])) continue;
    problems.push({ code: 'missing_part', message: `no program at ${programs[part]}`, hint: HINTS[part] });
  }
  throwIfAny(problems);
}

/** The first executable of that name in the directories of a PATH variable. */
export async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    const candidate = join(directory, name);
    if (isAbsolute(candidate) && await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(() => true, () => false);
}
