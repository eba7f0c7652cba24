// Waits until running VMs hold a change, as far as they may.
import type { Delivery } from '../api/secrets.ts';
import type { LiveVm } from '../live/contract.ts';
import type { SecretName } from '../secret/name.ts';
import type { ReportedError } from '../wire/protocol.ts';
import type { LiveVms } from './live-vms.ts';

/**
 * To be called before the change. The result takes the counter that the store has with it, and resolves
 * when every running VM that gets the secret holds all changes up to there, has reported a fault of this
 * secret in any form, or `waitMs` have passed.
 */
export function watchDelivery(live: LiveVms, name: SecretName, waitMs: number): (counter: number) => Promise<Delivery> {
  // What was reported before the change says nothing of it.
  const before = new Map(live.getting(name).map(({ live: served }) => [served, served.faultsOf(name)]));
  return async (counter) => {
    const giveUps = new Set<() => void>();
    const timer = setTimeout(() => {
      for (const giveUp of giveUps) giveUp();
    }, waitMs);
    const held = await Promise.all(live.getting(name).map(async ({ vm, live: served }) => ({
      hostname: vm.hostname, holds: await holds(served, name, counter, before.get(served) ?? [], giveUps),
    })));
    clearTimeout(timer);
    return {
      holding: held.filter((each) => each.holds).length,
      running: held.length,
      pending: held.filter((each) => !each.holds).map(({ hostname }) => hostname),
    };
  };
}

/** `giveUps`: what ends the waits that are under way. A signal for all of them would take as long as they are many to listen to. */
async function holds(
  live: LiveVm,
  name: SecretName,
  counter: number,
  before: readonly ReportedError[],
  giveUps: Set<() => void>,
): Promise<boolean> {
  const given = new AbortController();
  const giveUp = (): void => given.abort();
  const check = (): void => {
    if (live.faultsOf(name).some((fault) => !before.includes(fault))) giveUp();
  };
  const stop = live.onStatus(check);
  giveUps.add(giveUp);
  try {
    check();
    await live.whenHolds(counter, given.signal);
    return true;
  } catch {
    return false;
  } finally {
    stop();
    giveUps.delete(giveUp);
  }
}
