// What the VMM of a launched VM is told: from the request, and from what its record has drawn for it. Pure.
import type { BootItem } from '../delivery/boot-items.ts';
import type { VmSpec } from '../vmm/contract.ts';
import type { LaunchRequest } from './contract.ts';
import type { MachineParts } from './machine-parts.ts';
import type { LaunchedRecord } from './record.ts';
import { socketsIn } from './runtime-directory.ts';
import { vmSpec } from './vm-spec.ts';
import { vsockDeviceOf } from './vsock-process.ts';

export function launchSpec(
  record: LaunchedRecord, request: LaunchRequest, items: readonly BootItem[], { accelerator, tscKhz }: Pick<MachineParts, 'accelerator' | 'tscKhz'>,
): VmSpec {
  const { cpus, ramBytes, vmm, volumes, shares = [], interfaces, balloon, watchdog = false } = request;
  return vmSpec({
    name: record.hostname, cpus, ramBytes, vmm, boot: request, volumes, shares, interfaces, balloon, watchdog, accelerator, tscKhz,
    guestCid: record.guest_cid, items, vsock: vsockDeviceOf(record), sockets: socketsIn(record.runtime_directory, record.uid),
  });
}
