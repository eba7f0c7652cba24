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
  const before = new Map(live.getting(name).map((served) => [served.live, faultsOf(served.live, name)]));
  return async (counter) => {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), waitMs);
    const held = await Promise.all(live.getting(name).map(async ({ vm, live: served }) => ({
      hostname: vm.hostname, holds: await holds(served, name, counter, before.get(served) ?? [], timeout.signal),
    })));
    clearTimeout(timer);
    return {
      holding: held.filter((each) => each.holds).length,
      running: held.length,
      pending: held.filter((each) => !each.holds).map(({ hostname }) => hostname),
    };
  };
}

async function holds(
  live: LiveVm,
  name: SecretName,
  counter: number,
  before: readonly ReportedError[],
  timeout: AbortSignal,
): Promise<boolean> {
  const given = new AbortController();
  const giveUp = (): void => given.abort();
  const check = (): void => {
    if (faultsOf(live, name).some((fault) => !before.includes(fault))) giveUp();
  };
  const stop = live.onStatus(check);
  timeout.addEventListener('abort', giveUp);
  try {
    check();
    await live.whenHolds(counter, given.signal);
    return true;
  } catch {
    return false;
  } finally {
    stop();
    timeout.removeEventListener('abort', giveUp);
  }
}

const faultsOf = (live: LiveVm, name: SecretName): ReportedError[] =>
  live.status().deliveries.flatMap((delivery) => (delivery.name === name && delivery.error !== undefined ? [delivery.error] : []));
