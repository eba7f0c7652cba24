// The VMs of an inventory under the daemon: made of what `slicer run` would make them of, and kept, served and
// shown as those of host groups are. Their secrets are not the store's: they are read from their files when
// the VM starts, and when a later daemon adopts it.
import { totalmem } from 'node:os';
import { ACTOR } from '../audit/record.ts';
import type { InventoryVm } from '../config/inventory.ts';
import { credentialValue } from '../delivery/oem-strings.ts';
import { fail, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { fixedSecrets } from '../live/fixed-secrets.ts';
import type { SecretSource } from '../live/secret-source.ts';
import { findRunPlaces, planRun } from '../run/preparation.ts';
import { makeVolumes } from '../run/volumes.ts';
import type { Secret } from '../secret/secret.ts';
import type { LaunchedVm, LaunchRequest, Vm, Vms } from '../vm/contract.ts';
import { isThere } from './group-vms.ts';
import { groupOf } from './inventory-group.ts';
import type { LaunchParts } from './launch.ts';
import type { LiveVms } from './live-vms.ts';
import { errorFields, type Log } from './log.ts';

export interface DaemonInventory {
  /** Those of this machine; names of VMs are unique. */
  readonly vms: readonly InventoryVm[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

interface Launching {
  readonly vms: Vms;
  readonly live: LiveVms;
  /** Puts the launch on record. */
  readonly begin: (vm: LaunchedVm) => Promise<void>;
}

/** As images of one's own have it: services have something to save. */
const GRACE_MS = 10_000;

export class InventoryVms {
  readonly #inventory: DaemonInventory;
  /** Of VMs that this daemon launches. */
  readonly #sources = new Map<string, SecretSource>();

  constructor(inventory: DaemonInventory) {
    this.#inventory = inventory;
  }

  /** What the VM's live channel serves. Throws not_found for a VM that the inventory has not, and what reading its secrets does. */
  sourceOf(vm: Vm): SecretSource {
    const launched = this.#sources.get(vm.hostname);
    if (launched !== undefined) return launched;
    const found = this.#inventory.vms.find((each) => vm.kind === 'launched' && groupOf(each) === vm.group && each.run.name === vm.hostname);
    if (found === undefined) {
      throw fail('not_found', `vm "${vm.hostname}" is of an inventory that this daemon was not given`, 'slicer up --inventory=FILE');
    }
    const { secrets, problems } = planRun(found.run, this.#inventory);
    throwIfAny(problems);
    return fixedSecrets(secrets, Date.now());
  }

  /** Starts what does not run yet, one after the other. A VM that can't be started is logged; the others are started. */
  async startAll({ vms, live, audit }: Pick<LaunchParts, 'vms' | 'live' | 'audit'>, log: Log, signal: AbortSignal): Promise<void> {
    for (const vm of this.#inventory.vms) {
      if (signal.aborted) return;
      const fields = { vm: vm.run.name, instance: vm.name };
      try {
        const there = vms.get(vm.run.name);
        if (there !== undefined && !(there.kind === 'launched' && there.group === groupOf(vm))) {
          throw fail('vm_exists', `there is a vm "${vm.run.name}" that is not this instance`, 'give one of them another name');
        }
        if (await isThere(vms, vm.run.name)) continue;
        await audit.launch(ACTOR.daemon, (begin) => this.#launch(vm, { vms, live, begin }, (fact) => log.info(fields, fact), signal), ({ hostname }) => vms.delete(hostname));
        log.info(fields, 'started');
      } catch (error) {
        if (!signal.aborted) log.error({ ...fields, ...errorFields(error) }, 'this vm did not start');
      } finally {
        // The live channel has its source by now.
        this.#sources.delete(vm.run.name);
      }
    }
  }

  async #launch(vm: InventoryVm, { vms, live, begin }: Launching, say: (fact: string) => void, signal: AbortSignal): Promise<LaunchedVm> {
    const { run } = vm;
    const path = this.#inventory.env['PATH'] ?? '';
    const places = await findRunPlaces(run, path);
    const { secrets, plan, grant, problems } = planRun(run, this.#inventory);
    throwIfAny([...problems, ...places.problems, ...limits(vm)]);
    if (places.boot === undefined) throw fail('internal', `vm "${run.name}" has nothing to boot`);
    await makeVolumes(run.volumes, path, say, signal);
    const { disks, ...boot } = places.boot;
    const request: LaunchRequest = {
      group: groupOf(vm), hostname: run.name, cpus: run.cpus, ramBytes: run.ramBytes, vmm: run.vmm, ...boot,
      volumes: [...disks.map((disk) => ({ path: disk, readOnly: true })), ...run.volumes.map(({ path: disk, readOnly }) => ({ path: disk, readOnly }))],
      interfaces: places.interfaces, shares: run.shares, watchdog: run.watchdog, oemStrings: run.staticOemStrings,
      ...(run.balloon === undefined ? {} : { balloon: run.balloon }),
      ...(run.cid === undefined ? {} : { guestCid: run.cid }),
      grant, tags: [], stopGraceMs: run.boot.kind === 'image' && run.boot.image === 'tiny' ? 0 : GRACE_MS,
      // A plan without problems has a source for each.
      credentials: plan.bootCredentials.map((wish) => ({ name: wish.name, secret: wish.secret, value: credentialValue(wish, secrets.get(wish.secret) as Secret) })),
      liveCredentials: plan.liveCredentials.map(({ name, secret, trimNewline }) => ({ name, secret, trimNewline })),
    };
    this.#sources.set(run.name, fixedSecrets(secrets, Date.now()));
    return vms.launch(request, {
      beforeStart: async (launched) => {
        await begin(launched);
        await live.begin(launched);
      },
    });
  }
}

/** What the daemon cannot do for such a VM. */
function limits({ run }: InventoryVm): Problem[] {
  return [
    ...(run.vsockSocket === undefined ? [] : [{
      code: 'invalid_request' as const, message: `vm "${run.name}" has vsock.socket; the daemon's VMs have theirs in its own directory`, hint: 'leave it out, or slicer run',
    }]),
    ...(run.ramBytes <= totalmem() ? [] : [{
      code: 'invalid_request' as const, message: `vm "${run.name}" has ${run.ramBytes} bytes of memory; this machine has ${totalmem()}`,
    }]),
  ];
}
