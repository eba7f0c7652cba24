// The VSOCK device of a VM that runs, as its record tells it, and another process for it.
import type { ProcessPlan, Vmm, VsockDevice, VsockReplacement } from '../vmm/contract.ts';
import { endProcesses, findMarked } from './process-table.ts';
import type { LaunchedRecord } from './record.ts';
import { socketsIn } from './runtime-directory.ts';
import { startInPlace, type StartParts } from './start.ts';
import type { WatchedProcess } from './watched-process.ts';

export function vsockDeviceOf({ host_port: hostPort }: LaunchedRecord): VsockDevice {
  return hostPort === undefined ? { kind: 'vhost-device-vsock' } : { kind: 'kernel', hostPort };
}

/** Undefined where the VMM can't do with another process, or needs none. */
export function vsockReplacementOf(record: LaunchedRecord, vmm: Vmm): VsockReplacement | undefined {
  return vmm.vsockReplacement?.({
    guestCid: record.guest_cid, vsock: vsockDeviceOf(record), sockets: socketsIn(record.runtime_directory, record.uid),
  });
}

/** The process, and what is to be on record once it runs. Of one that was started just before a crash there is no record: it is ended. */
export async function startVsockOf(
  { processes, uid }: LaunchedRecord, plan: ProcessPlan, vmDirectory: string, programs: StartParts['programs'],
): Promise<{ process: WatchedProcess; processes: LaunchedRecord['processes'] }> {
  const others = processes.filter(({ role }) => role !== 'vsock');
  const marked = await findMarked(vmDirectory);
  await endProcesses(marked.filter(({ pid }) => !others.some((other) => other.pid === pid)), 0);
  const process = await startInPlace(plan, vmDirectory, { programs }, uid === undefined ? undefined : { uid, groups: [] });
  return { process, processes: [...others, process.identity] };
}
