// How the VMs of an inventory are told from those of host groups: by the group in their records.
import type { InventoryVm } from '../config/inventory.ts';
import type { Vm } from '../vm/contract.ts';

/** No host group can be called so. */
const INSTANCE_MARK = '/';

export const groupOf = ({ instance, machine }: InventoryVm): string => `${instance}${INSTANCE_MARK}${machine}`;

export const isOfInventory = (vm: Vm): boolean => vm.kind === 'launched' && vm.group.includes(INSTANCE_MARK);
