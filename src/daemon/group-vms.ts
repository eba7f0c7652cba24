// The VMs that a configuration asks for: `<group>-1` to `<group>-<count>`, as far as they do not run yet.
import { ACTOR } from '../audit/record.ts';
import type { HostGroup } from '../config/config.ts';
import type { Vms } from '../vm/contract.ts';
import { errorFields, type Log } from './log.ts';
import { launchVm, type LaunchParts } from './launch.ts';

/** Starts what is missing, one after the other. A VM that can't be started is logged; the others are started. */
export async function startGroupVms(parts: LaunchParts, groups: readonly HostGroup[], log: Log, signal: AbortSignal): Promise<void> {
  for (const group of groups) {
    for (let number = 1; number <= group.count && !signal.aborted; number += 1) {
      const hostname = `${group.name}-${number}`;
      try {
        if (await isThere(parts.vms, hostname)) continue;
        await launchVm(parts, ACTOR.daemon, group, {}, hostname);
        log.info({ vm: hostname }, 'started');
      } catch (error) {
        if (!signal.aborted) log.error({ vm: hostname, ...errorFields(error) }, 'this vm did not start');
      }
    }
  }
}

/** Whether a VM of this name need not be started. The record of one that ended makes room for its successor. */
export async function isThere(vms: Vms, hostname: string): Promise<boolean> {
  const status = vms.get(hostname)?.status;
  if (status !== 'stopped' && status !== 'failed') return status !== undefined;
  await vms.delete(hostname);
  return false;
}
