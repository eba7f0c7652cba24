// Launches a VM: the plan first, then its live channel, then its processes; and waits until it is ready
// when asked to. A VM that is not ready in time is deleted: a launch that was answered with an error
// leaves nothing behind.
import { totalmem } from 'node:os';
import type { HostGroup } from '../config/config.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { withDeadline } from '../live/deadline.ts';
import { until } from '../live/until.ts';
import type { Store } from '../store/store.ts';
import type { LaunchedVm, Vms } from '../vm/contract.ts';
import { bootOf, planLaunch, type LaunchWish } from './launch-plan.ts';
import type { Auditor } from './auditor.ts';
import { keepLateConsole } from './late-console.ts';
import type { LiveVms } from './live-vms.ts';
import { GUEST_ARCH, type Machine } from './machine.ts';

export interface LaunchParts {
  readonly store: Store;
  readonly vms: Vms;
  readonly live: LiveVms;
  readonly machine: Machine;
  readonly audit: Auditor;
  /** Where the console of the last VM that was not ready in time is kept. */
  readonly lateConsole: string;
}

export interface Wait {
  /** `agent`: until the secrets are in place; `userdata`: until the script ended, too. */
  readonly goal: 'agent' | 'userdata';
  readonly timeoutMs: number;
}

/** Throws secret_not_found, invalid_name, empty_value, value_too_large, invalid_request, missing_part, launch_failed, vm_exists, audit_not_writable, shutting_down. */
export function launchVm(parts: LaunchParts, actor: string, group: HostGroup, wish: LaunchWish, hostname?: string): Promise<LaunchedVm> {
  return parts.audit.launch(actor, async (begin) => {
    // A file that was put into the store just now counts.
    await parts.store.rescan();
    const { userdata, ...plan } = planLaunch(group, wish, parts.store.snapshot(), { ramBytes: totalmem(), arch: GUEST_ARCH });
    const image = await parts.machine.guestImage(bootOf(group, wish));
    return parts.vms.launch({
      group: group.name, ...plan, ...image, interfaces: group.network === 'user' ? [{ kind: 'user' }] : [],
      ...(hostname === undefined ? {} : { hostname }),
      ...(userdata === undefined ? {} : { userdata }),
    }, {
      beforeStart: async (vm) => {
        await begin(vm);
        await parts.live.begin(vm);
      },
    });
  }, (vm) => parts.vms.delete(vm.hostname));
}

/** Throws wait_timeout, with the VM deleted, and launch_failed when it ended by itself. */
export async function waitUntilReady(parts: LaunchParts, actor: string, hostname: string, { goal, timeoutMs }: Wait): Promise<void> {
  const { vms, live, audit } = parts;
  const ended = new AbortController();
  const check = (): void => {
    const vm = vms.get(hostname);
    if (vm === undefined) ended.abort(fail('launch_failed', `vm "${hostname}" was deleted while it started`));
    else if (vm.status === 'stopped' || vm.status === 'failed') {
      ended.abort(fail('launch_failed', `vm "${hostname}" ended before it was ready: ${vm.reason ?? vm.status}`,
        `slicer vm logs ${hostname}`));
    }
  };
  const stop = vms.onChange((changed) => {
    if (changed === hostname) check();
  });
  const late = (): SlicerError => fail('wait_timeout',
    `vm "${hostname}" was not ready within ${timeoutMs / 1000}s and was deleted: ${whatIsMissing(parts, hostname)}`,
    'launch it without --wait, and see: slicer vm logs');
  check();
  try {
    await withDeadline(timeoutMs, late, [ended.signal], async (signal) => {
      signal.throwIfAborted();
      await live.get(hostname)?.whenSynced(signal);
      if (goal === 'userdata') await userdataEnd(vms, hostname, signal);
    });
  } catch (error) {
    // The channel ends with the VM, and may tell of it first.
    if (ended.signal.aborted) throw ended.signal.reason;
    if (!(error instanceof SlicerError) || error.code !== 'wait_timeout') throw error;
    const isKept = await keepLateConsole(vms, hostname, parts.lateConsole);
    await vms.delete(hostname);
    await audit.deleted(actor, hostname, error.code);
    throw isKept ? fail('wait_timeout', error.message, `see what its console said: ${parts.lateConsole}`) : error;
  } finally {
    stop();
  }
}

function userdataEnd(vms: Vms, hostname: string, signal: AbortSignal): Promise<void> {
  const hasEnded = (): boolean => {
    const vm = vms.get(hostname);
    return vm?.kind === 'launched' && (vm.userdata.state === 'none' || vm.userdata.state === 'done');
  };
  return until(hasEnded, (listener) => vms.onChange((changed) => {
    if (changed === hostname) listener();
  }), signal);
}

function whatIsMissing({ vms, live }: Pick<LaunchParts, 'vms' | 'live'>, hostname: string): string {
  const status = live.get(hostname)?.status();
  const fault = status?.deliveries.find(({ error }) => error !== undefined)?.error ?? status?.errors[0];
  if (fault !== undefined) return fault.message;
  const vm = vms.get(hostname);
  if (status?.synced === true && vm?.kind === 'launched') {
    return `userdata is ${vm.userdata.state === 'claimed' ? 'still running' : 'not begun'}`;
  }
  return status?.connected === true ? 'its agent has not confirmed the secrets' : 'its agent has not connected';
}
