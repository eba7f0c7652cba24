// Which VMMs are not on this machine.
import type { HostGroup } from '../config/config.ts';
import type { Hypervisor } from '../delivery/hypervisor.ts';
import { findProgram } from '../vm/programs.ts';

const PROGRAMS: Readonly<Record<Hypervisor, string>> = {
  qemu: 'qemu-system-x86_64', 'cloud-hypervisor': 'cloud-hypervisor', firecracker: 'firecracker',
};

/** A fact for each VMM that a host group runs on and that is in no directory of `path`, a PATH variable. */
export async function missingVmmPrograms(groups: readonly HostGroup[], path: string): Promise<string[]> {
  const facts: string[] = [];
  for (const hypervisor of new Set(groups.map(({ vmm }) => vmm.hypervisor))) {
    if (await findProgram(PROGRAMS[hypervisor], path) !== undefined) continue;
    const names = groups.filter(({ vmm }) => vmm.hypervisor === hypervisor).map(({ name }) => name);
    facts.push(`there is no ${PROGRAMS[hypervisor]} on the PATH, which runs host group ${names.join(', ')}`);
  }
  return facts;
}
