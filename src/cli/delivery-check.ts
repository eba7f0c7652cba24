// What a launch would deliver, asked of the function that launches. Needs no daemon.
import type { Config, HostGroup } from '../config/config.ts';
import { groupDelivery } from '../config/group-delivery.ts';
import { planDelivery, type DeliveryPlan, type DeliveryVm, type KnownSecrets } from '../delivery/plan.ts';
import type { Problem } from '../errors/slicer-error.ts';
import { readStore, type StoreReading } from '../store/read-store.ts';
import { GUEST_ARCH } from '../vm/found-programs.ts';

export interface CheckedPlan extends DeliveryPlan {
  /** What a launch would refuse and is no fault of the configuration: secrets that are not there yet. */
  readonly warnings: readonly string[];
}

/** `known` undefined: nothing of the sources is known, which one warning of the caller's says. */
function checkDelivery(vm: DeliveryVm, known: KnownSecrets | undefined): CheckedPlan {
  const plan = planDelivery(vm, known ?? new Map());
  const isMissing = ({ code }: Problem): boolean => code === 'secret_not_found';
  return {
    ...plan,
    problems: plan.problems.filter((problem) => !isMissing(problem)),
    warnings: known === undefined ? [] : plan.problems.filter(isMissing).map(warningText),
  };
}

export function planGroup(group: HostGroup, store: StoreReading): CheckedPlan {
  return checkDelivery(groupDelivery(group, GUEST_ARCH), store.problem === undefined ? store.secrets : undefined);
}

/** The store that the plans of a configuration are made of, with what to warn of: groups that name no secret need none. */
export function storeOf(config: Config): StoreReading & { readonly warnings: readonly string[] } {
  const store = readStore(config.secretsDir);
  const namesAny = config.hostGroups.some(({ secrets, credentials }) => credentials.length > 0 || (secrets !== 'all' && secrets.length > 0));
  return { ...store, warnings: store.problem !== undefined && namesAny ? [`${store.problem}; sizes are not known`] : [] };
}

export const warningText = ({ message, hint }: Problem): string => (hint === undefined ? message : `${message}; ${hint}`);
