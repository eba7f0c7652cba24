// What one VM should hold, as a pure function of the store and its grant. Nothing here knows of a secret
// that is not granted, so nothing behind it can leak one.
import { createHash } from 'node:crypto';
import { isGranted, type Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import type { Snapshot, StoredSecret } from '../store/contract.ts';
import type { Generation } from '../wire/generation.ts';

export interface View {
  readonly snapshot: Snapshot;
  readonly grant: Grant;
  readonly generation: Generation;
}

export interface Changes {
  readonly secrets: readonly StoredSecret[];
  readonly removed: readonly SecretName[];
}

/** The granted secrets that the store holds. */
export function grantedSecrets(snapshot: Snapshot, grant: Grant): StoredSecret[] {
  if (grant === 'all') return [...snapshot.secrets.values()];
  return [...new Set(grant)].flatMap((name) => snapshot.secrets.get(name) ?? []);
}

/**
 * The counter is the highest version among granted secrets and granted removals: a change outside the
 * grant neither moves it nor shows in it.
 */
export function viewOf(snapshot: Snapshot, grant: Grant): View {
  const known = grant === 'all' ? wholeViews.get(snapshot) : undefined;
  if (known !== undefined) return known;
  let counter = 0;
  for (const { version } of grantedSecrets(snapshot, grant)) counter = Math.max(counter, version);
  for (const { version } of grantedRemovals(snapshot, grant)) counter = Math.max(counter, version);
  const view: View = { snapshot, grant, generation: { epoch: epochOf(snapshot, grant), counter } };
  if (grant === 'all') wholeViews.set(snapshot, view);
  return view;
}

/**
 * Each grant has an epoch of its own. A VM that is let go and attached again with another grant holds a
 * generation of the old one, and with the same counter would pass for holding what it was not given, and
 * for having lost what was taken from it.
 */
function epochOf({ epoch }: Snapshot, grant: Grant): string {
  return grant === 'all' ? epoch : createHash('sha256').update(`${epoch} ${grantKey(grant)}`).digest('hex').slice(0, epoch.length);
}

const keys = new WeakMap<object, string>();

/** The same for grants of the same secrets. */
export function grantKey(grant: Grant): string {
  if (grant === 'all') return 'all';
  let key = keys.get(grant);
  if (key === undefined) {
    key = createHash('sha256').update([...new Set(grant)].sort().join('/')).digest('hex');
    keys.set(grant, key);
  }
  return key;
}

/** A change is one step for all VMs that are granted everything, not one for each. */
const wholeViews = new WeakMap<Snapshot, View>();

/** What a VM that holds the generation with counter `base` lacks. */
export function changesSince({ snapshot, grant }: View, base: number): Changes {
  return {
    secrets: grantedSecrets(snapshot, grant).filter(({ version }) => version > base),
    removed: grantedRemovals(snapshot, grant).filter(({ version }) => version > base).map(({ name }) => name),
  };
}

function grantedRemovals(snapshot: Snapshot, grant: Grant): { name: SecretName; version: number }[] {
  const removals: { name: SecretName; version: number }[] = [];
  for (const [name, version] of snapshot.removed) {
    if (isGranted(grant, name)) removals.push({ name, version });
  }
  return removals;
}
