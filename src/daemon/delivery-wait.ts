// Waits until running VMs hold a change, as far as they may.
import type { Delivery } from '../api/secrets.ts';
import type { LiveVm } from '../live/contract.ts';
import type { SecretName } from '../secret/name.ts';
import type { ServedVm } from './live-vms.ts';

/**
 * Resolves when every VM holds all changes up to the store's `counter`, has said that it can't take the
 * secret, or `waitMs` have passed.
 */
export async function waitForDelivery(vms: readonly ServedVm[], name: SecretName, counter: number, waitMs: number): Promise<Delivery> {
  const timeout = AbortSignal.timeout(waitMs);
  const held = await Promise.all(vms.map(async ({ vm, live }) => {
    const failed = new AbortController();
    // What was reported before the change says nothing of it.
    const before = faultOf(live, name);
    const stop = live.onStatus(() => {
      const fault = faultOf(live, name);
      if (fault !== undefined && fault !== before) failed.abort();
    });
    try {
      await live.whenHolds(counter, AbortSignal.any([timeout, failed.signal]));
      return { hostname: vm.hostname, holds: true };
    } catch {
      return { hostname: vm.hostname, holds: false };
    } finally {
      stop();
    }
  }));
  return {
    holding: held.filter(({ holds }) => holds).length,
    running: held.length,
    pending: held.filter(({ holds }) => !holds).map(({ hostname }) => hostname),
  };
}

const faultOf = (live: LiveVm, name: SecretName) => live.status().deliveries.find((delivery) => delivery.name === name)?.error;
