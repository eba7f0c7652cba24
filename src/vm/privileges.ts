// What a VM's process may do: nothing that its work does not take. Whoever breaks into it gains no right by a
// program that raises rights (no_new_privs), has no capability to use or to pass on, and where this process is
// root is a user whose files are one VM's. All in one step, by setpriv(1), which then becomes the program.
import type { ProcessPlan } from '../vmm/contract.ts';
import type { VmUser } from './vm-user.ts';

export interface Privileges {
  /** Absent: this process's own user. */
  readonly user?: VmUser | undefined;
  /** Whether one that stays this process's user keeps its capabilities. */
  readonly keepsCapabilities?: boolean;
  /** The one that the process has at its start as a user of its own. */
  readonly capability?: ProcessPlan['capability'];
}

/** Arguments of setpriv(1). `isRoot`: whether this process is root, since others have nothing to drop. */
export function setprivArguments({ user, keepsCapabilities = false, capability }: Privileges, isRoot: boolean): string[] {
  if (!isRoot) return ['--no-new-privs'];
  const kept = capability === undefined ? '-all' : `-all,+${capability}`;
  return [
    '--no-new-privs',
    ...(user === undefined && keepsCapabilities ? [] : [`--bounding-set=${kept}`, `--inh-caps=${kept}`, `--ambient-caps=${kept}`]),
    ...(user === undefined ? [] : [
      `--reuid=${user.uid}`, `--regid=${user.uid}`, ...(user.groups.length === 0 ? ['--clear-groups'] : [`--groups=${user.groups.join(',')}`]),
    ]),
  ];
}
