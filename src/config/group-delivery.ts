// What a VM of a host group is to get, for the one function that decides (delivery/plan.ts): a launch and
// `slicer explain` ask it with the same words. Pure.
import type { GuestArch } from '../delivery/hypervisor.ts';
import type { DeliveryVm } from '../delivery/plan.ts';
import { hasLowInitrdKernel, type HostGroup } from './config.ts';

/** Of a group as its file says, or with what a launch says instead. */
export function groupDelivery(
  group: Pick<HostGroup, 'name' | 'vmm' | 'ramBytes' | 'secrets' | 'credentials' | 'image' | 'kernelFile'>, arch: GuestArch,
): DeliveryVm {
  const { name, vmm, ramBytes, secrets, credentials } = group;
  return {
    label: `host group "${name}"`, vmm, arch, ramBytes, grant: secrets, credentials, oemStrings: [],
    hasLowInitrdKernel: hasLowInitrdKernel(group),
  };
}
