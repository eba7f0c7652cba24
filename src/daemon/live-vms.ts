// One live channel for each VM that runs: begun before its VMM starts or when it is adopted, ended with it.
import type { LiveDependencies } from '../live/dependencies.ts';
import type { LiveCredential, LiveVm } from '../live/contract.ts';
import { startLiveVm } from '../live/live-vm.ts';
import type { SecretSource } from '../live/secret-source.ts';
import { isInScope } from '../live/scope.ts';
import type { SecretName } from '../secret/name.ts';
import type { Vm, Vms } from '../vm/contract.ts';
import { isOfInventory } from './inventory-group.ts';
import { errorFields, type Log } from './log.ts';

export interface ServedVm {
  readonly vm: Vm;
  readonly live: LiveVm;
}

export class LiveVms {
  readonly #sourceOf: (vm: Vm) => SecretSource;
  readonly #vms: Vms;
  readonly #log: Log;
  readonly #dependencies: LiveDependencies;
  readonly #served = new Map<string, Promise<LiveVm>>();
  readonly #live = new Map<string, LiveVm>();
  readonly #stopWatching: () => void;

  /** `sourceOf`: where a VM's secrets are. What it throws is a reason not to serve the VM. */
  constructor(sourceOf: (vm: Vm) => SecretSource, vms: Vms, log: Log, dependencies: LiveDependencies) {
    this.#sourceOf = sourceOf;
    this.#vms = vms;
    this.#log = log;
    this.#dependencies = dependencies;
    const stopChanges = vms.onChange((hostname, vm) => {
      if (vm === undefined || hasEnded(vm)) void this.end(hostname);
    });
    const stopResets = vms.onReset((hostname) => this.#live.get(hostname)?.guestReset());
    this.#stopWatching = () => {
      stopChanges();
      stopResets();
    };
  }

  /** Serves every VM that runs already. One that can't be served is logged; the others are. */
  async adopt(): Promise<void> {
    await Promise.all(this.#vms.list().filter(({ status }) => status === 'running').map(async (vm) => {
      try {
        await this.begin(vm);
      } catch (error) {
        this.#log.error({ vm: vm.hostname, ...errorFields(error) }, 'this vm gets no secrets');
      }
    }));
  }

  /** Resolves when the VM is served. Throws what `startLiveVm` does, vm_not_found, vm_not_running. */
  async begin(vm: Vm): Promise<LiveVm> {
    const starting = this.#start(vm);
    this.#served.set(vm.hostname, starting);
    try {
      const live = await starting;
      this.#live.set(vm.hostname, live);
      return live;
    } catch (error) {
      this.#served.delete(vm.hostname);
      throw error;
    }
  }

  get(hostname: string): LiveVm | undefined {
    return this.#live.get(hostname);
  }

  /** The running VMs that get a secret of the store over their live channel, as a file, as a credential or both. */
  getting(name: SecretName): ServedVm[] {
    return this.#vms.list().flatMap((vm) => {
      const live = this.#live.get(vm.hostname);
      const gets = isInScope({ grant: vm.grant, credentials: liveCredentialsOf(vm) }, name);
      return live !== undefined && vm.status === 'running' && gets && !isOfInventory(vm) ? [{ vm, live }] : [];
    });
  }

  async end(hostname: string): Promise<void> {
    const served = this.#served.get(hostname);
    this.#served.delete(hostname);
    this.#live.delete(hostname);
    await served?.then((live) => live.close(), () => undefined);
  }

  async endAll(): Promise<void> {
    this.#stopWatching();
    await Promise.all([...this.#served.keys()].map((hostname) => this.end(hostname)));
  }

  async #start(vm: Vm): Promise<LiveVm> {
    const { hostname, grant, vsockPath, vmUid } = vm;
    const { bootToken, userdata } = await this.#vms.guestMaterial(hostname);
    return startLiveVm(this.#sourceOf(vm), {
      hostname, vsockPath, vmUid, grant, credentials: liveCredentialsOf(vm),
      ...(bootToken === undefined ? {} : { bootToken }),
      ...(userdata === undefined ? {} : { userdata }),
      onUserdataClaimed: () => this.#vms.userdataClaimed(hostname),
      onUserdataResult: async ({ exit_code: exitCode }) => {
        this.#log.info({ vm: hostname, exit_code: exitCode }, 'userdata ended');
        await this.#vms.userdataDone(hostname, exitCode);
      },
    }, this.#dependencies);
  }
}

const liveCredentialsOf = (vm: Vm): readonly LiveCredential[] => (vm.kind === 'launched' ? vm.liveCredentials : []);

const hasEnded = ({ status }: Vm): boolean => status === 'stopped' || status === 'failed';
