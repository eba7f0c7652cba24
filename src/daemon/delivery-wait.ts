// Waits until running VMs hold a change, as far as they may.
import type { Delivery } from '../api/secrets.ts';
import type { LiveVm } from '../live/contract.ts';
import type { SecretName } from '../secret/name.ts';
import type { ReportedError } from '../wire/protocol.ts';
import type { LiveVms } from './live-vms.ts';

/**
 * To be called before the change. The result takes the counter that the store has with it, and resolves
 * when every running VM that is granted the secret holds all changes up to there, has reported a fault of
 * this secret, or `waitMs` have passed.
 */
export function watchDelivery(live: LiveVms, name: SecretName, waitMs: number): (counter: number) => Promise<Delivery> {
  // What was reported before the change says nothing of it.
  const before = new Map(live.granted(name).map((served) => [served.live, faultOf(served.live, name)]));
  return async (counter) => {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), waitMs);
    const held = await Promise.all(live.granted(name).map(async ({ vm, live: served }) => ({
      hostname: vm.hostname, holds: await holds(served, name, counter, before.get(served), timeout.signal),
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
  before: ReportedError | undefined,
  timeout: AbortSignal,
): Promise<boolean> {
  const given = new AbortController();
  const giveUp = (): void => given.abort();
  const check = (): void => {
    const fault = faultOf(live, name);
    if (fault !== undefined && fault !== before) giveUp();
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

const faultOf = (live: LiveVm, name: SecretName): ReportedError | undefined =>
  live.status().deliveries.find((delivery) => delivery.name === name)?.error;
