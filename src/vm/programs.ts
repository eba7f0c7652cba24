// The programs that a VM is made of, and where they are.
import { accessSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { VmmPrograms } from '../vmm/drivers.ts';

/** Absolute paths. The agent's binary is the one for this machine: its host modes write logs and relay VSOCK. */
export interface VmPrograms extends VmmPrograms {
  /** util-linux's setpriv. */
  readonly setpriv: string;
}

const HINTS: Readonly<Record<keyof VmPrograms, string>> = {
  qemu: 'apt-get install qemu-system-x86',
  vhostDeviceVsock: 'slicer image build',
  cloudHypervisor: 'put cloud-hypervisor 53 or newer on the PATH',
  firecracker: 'put firecracker 1.16 or newer on the PATH',
  agent: 'npm run build',
  setpriv: 'apt-get install util-linux',
};

/** What a VM on this VMM needs. */
function neededBy({ hypervisor }: VmmChoice, usesKernelVsock: boolean): (keyof VmPrograms)[] {
  const always = ['agent', 'setpriv'] as const;
  switch (hypervisor) {
    case 'qemu': return ['qemu', ...(usesKernelVsock ? [] : ['vhostDeviceVsock'] as const), ...always];
    case 'cloud-hypervisor': return ['cloudHypervisor', ...always];
    case 'firecracker': return ['firecracker', ...always];
  }
}

/** Throws missing_part with every program that is not there. */
export async function checkPrograms(programs: VmPrograms, vmm: VmmChoice, usesKernelVsock: boolean): Promise<void> {
  const problems: Problem[] = [];
  for (const part of neededBy(vmm, usesKernelVsock)) {
    if (await isExecutable(programs[part])) continue;
    problems.push({ code: 'missing_part', message: `no program at ${programs[part]}`, hint: HINTS[part] });
  }
  throwIfAny(problems);
}

/** The first executable of that name in the directories of a PATH variable. */
export async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const candidate of candidates(name, path)) if (await isExecutable(candidate)) return candidate;
  return undefined;
}

/** The same, at once. */
export function findProgramSync(name: string, path: string): string | undefined {
  return candidates(name, path).find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const candidates = (name: string, path: string): string[] => path.split(delimiter).map((directory) => join(directory, name)).filter(isAbsolute);

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(() => true, () => false);
}
