// What `slicer explain` and `slicer check` look at: a VM that could be launched or run, with the plan for it.
import type { Config, HostGroup } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { RunFile } from '../config/run-file.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import { fail } from '../errors/slicer-error.ts';
import { checkRunFile } from '../run/check.ts';
import { planGroup, storeOf, warningText, type CheckedPlan } from './delivery-check.ts';

export interface DeliverySubject {
  readonly kind: 'group' | 'vm';
  readonly name: string;
  /** How messages call it: `host group "web"`, `vm "db"`. */
  readonly label: string;
  readonly vmm: VmmChoice;
  readonly plan: CheckedPlan;
  /** What is not known of its sources. */
  readonly warnings: readonly string[];
}

/** A launch without flags of the group called `name`. Throws group_not_found, and what `loadConfig` does. */
export function groupSubject(name: string, configFile: string): DeliverySubject {
  const config = loadConfig(configFile);
  const group = config.hostGroups.find((candidate) => candidate.name === name);
  if (group === undefined) {
    throw fail('group_not_found', `${configFile} has no host group ${JSON.stringify(name.slice(0, 64))}`,
      `it has ${config.hostGroups.map((known) => known.name).join(', ')}`);
  }
  const { warnings, ...store } = storeOf(config);
  return { ...subjectOf(group, planGroup(group, store)), warnings };
}

/** A launch without flags of each group. */
export function groupSubjects(config: Config): readonly DeliverySubject[] {
  const { warnings, ...store } = storeOf(config);
  return config.hostGroups.map((group) => ({ ...subjectOf(group, planGroup(group, store)), warnings }));
}

/** What `slicer run` would deliver to the VM of a file. */
export async function runSubject(file: RunFile, env: NodeJS.ProcessEnv): Promise<DeliverySubject> {
  const { plan, warnings } = await checkRunFile(file, { env, uid: (process.geteuid as () => number)() });
  return { kind: 'vm', name: file.name, label: `vm "${file.name}"`, vmm: file.vmm, plan: { ...plan, warnings: [] }, warnings: warnings.map(warningText) };
}

const subjectOf = ({ name, vmm }: HostGroup, plan: CheckedPlan) => ({ kind: 'group' as const, name, label: `host group "${name}"`, vmm, plan });
