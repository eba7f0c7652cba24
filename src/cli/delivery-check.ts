// What a launch of a configuration's host groups would deliver, asked of the function that launches.
import type { Config, HostGroup } from '../config/config.ts';
import { planDelivery, type DeliveryPlan } from '../delivery/plan.ts';
import type { Problem } from '../errors/slicer-error.ts';
import { readStore, type StoreReading } from '../store/read-store.ts';

export interface CheckedPlan extends DeliveryPlan {
  /** What a launch would refuse and is no fault of the configuration: secrets that are not there yet. */
  readonly warnings: readonly string[];
}

export function planGroup({ name, ramBytes, secrets, credentials }: HostGroup, store: StoreReading): CheckedPlan {
  const plan = planDelivery({ label: `host group "${name}"`, ramBytes, grant: secrets, credentials }, store.secrets);
  const isMissing = ({ code }: Problem): boolean => code === 'secret_not_found';
  return {
    ...plan,
    problems: plan.problems.filter((problem) => !isMissing(problem)),
    // Where nothing of the store is known, one warning says so.
    warnings: store.problem === undefined ? plan.problems.filter(isMissing).map(warningText) : [],
  };
}

/** The store that the plans of a configuration are made of, with what to warn of: groups that name no secret need none. */
export function storeOf(config: Config): StoreReading & { readonly warnings: readonly string[] } {
  const store = readStore(config.secretsDir);
  const namesAny = config.hostGroups.some(({ secrets, credentials }) => credentials.length > 0 || (secrets !== 'all' && secrets.length > 0));
  return { ...store, warnings: store.problem !== undefined && namesAny ? [`${store.problem}; sizes are not known`] : [] };
}

const warningText = ({ message, hint }: Problem): string => (hint === undefined ? message : `${message}; ${hint}`);
