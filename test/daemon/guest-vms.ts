// VMs without a hypervisor: each guest is a wire agent behind a VSOCK device of its own. What the daemon
// sees of them is the contract of src/vm.
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../../src/errors/slicer-error.ts';
import { Secret } from '../../src/secret/secret.ts';
import type { AttachRequest, AttachedVm, LaunchedVm, LaunchHooks, LaunchRequest, Vm, Vms } from '../../src/vm/contract.ts';
import { VsockDevice } from '../live/vsock-device.ts';
import { WireAgent } from '../live/wire-agent.ts';

/** What a guest does once it has booted. */
export type Boot = (agent: WireAgent, vms: GuestVms, hostname: string) => Promise<void>;

interface Guest {
  vm: LaunchedVm;
  readonly device: VsockDevice;
  readonly agent: WireAgent;
  readonly bootToken: string;
  readonly script: Uint8Array | undefined;
}

/** Takes a session and its secrets, then follows them, as the agent does. */
export const syncing: Boot = async (agent) => {
  await agent.establish();
  await agent.sync(true);
  void (async () => {
    for (;;) await agent.sync(true);
  })().catch(() => {});
};

export class GuestVms implements Vms {
  readonly guests = new Map<string, Guest>();
  readonly requests: LaunchRequest[] = [];
  boot: Boot = syncing;
  closed: 'kept' | 'stopped' | undefined;
  readonly #directory: string;
  readonly #attached = new Map<string, AttachedVm>();
  readonly #listeners = new Set<(hostname: string, vm: Vm | undefined) => void>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  list(): readonly Vm[] {
    return [...[...this.guests.values()].map(({ vm }) => vm), ...this.#attached.values()];
  }

  get(hostname: string): Vm | undefined {
    return this.guests.get(hostname)?.vm ?? this.#attached.get(hostname);
  }

  async launch(request: LaunchRequest, hooks: LaunchHooks): Promise<LaunchedVm> {
    this.requests.push(request);
    const hostname = request.hostname ?? `${request.group}-${this.guests.size + 1}`;
    const runtime = join(this.#directory, hostname);
    mkdirSync(runtime, { mode: 0o700 });
    const vsockPath = join(runtime, 'vm.vsock');
    const device = await VsockDevice.listen(vsockPath);
    const bootToken = randomBytes(32).toString('hex');
    const { group, cpus, ramBytes, vmm, grant, liveCredentials, tags, userdata: script } = request;
    const credentials = request.credentials.map(({ name, secret }) => ({ name, secret }));
    const vm: LaunchedVm = {
      kind: 'launched', status: 'starting', hostname, group, cpus, ramBytes, vmm, grant, credentials, liveCredentials, tags, vsockPath,
      createdAtMs: Date.now(), userdata: { state: script === undefined ? 'none' : 'waiting' }, lastConsoleLines: [],
    };
    const agent = new WireAgent(device, bootToken);
    this.guests.set(hostname, { vm, device, agent, bootToken, script });
    try {
      await hooks.beforeStart(vm);
    } catch (error) {
      await this.delete(hostname);
      throw error;
    }
    const running = this.change(hostname, { status: 'running' });
    void this.boot(agent, this, hostname).catch(() => {});
    return running;
  }

  /** What happens to a VM without the daemon's doing. */
  change(hostname: string, change: Partial<LaunchedVm>): LaunchedVm {
    const guest = this.guests.get(hostname) as Guest;
    guest.vm = { ...guest.vm, ...change };
    this.#changed(hostname);
    return guest.vm;
  }

  async attach({ hostname, vsockPath, grant, tags }: AttachRequest): Promise<AttachedVm> {
    if (this.get(hostname) !== undefined) throw fail('vm_exists', `vm "${hostname}" is there already`);
    const vm: AttachedVm = { kind: 'attached', status: 'running', hostname, vsockPath, grant, tags, createdAtMs: Date.now() };
    this.#attached.set(hostname, vm);
    this.#changed(hostname);
    return vm;
  }

  async delete(hostname: string): Promise<void> {
    const guest = this.guests.get(hostname);
    this.guests.delete(hostname);
    if (!this.#attached.delete(hostname) && guest === undefined) throw fail('vm_not_found', `there is no vm "${hostname}"`);
    this.#changed(hostname);
    guest?.agent.close();
    await guest?.device.close();
    rmSync(join(this.#directory, hostname), { recursive: true, force: true });
  }

  async logs(hostname: string, lines: number): ReturnType<Vms['logs']> {
    return { lines, content: `console of ${hostname}\n` };
  }

  async guestMaterial(hostname: string): ReturnType<Vms['guestMaterial']> {
    const guest = this.guests.get(hostname);
    if (guest === undefined) return {};
    const bootToken = new Secret(Buffer.from(guest.bootToken));
    return guest.vm.userdata.state === 'waiting' && guest.script !== undefined ? { bootToken, userdata: guest.script } : { bootToken };
  }

  async userdataClaimed(hostname: string): Promise<void> {
    this.change(hostname, { userdata: { state: 'claimed' } });
  }

  async userdataDone(hostname: string, exitCode: number): Promise<void> {
    this.change(hostname, { userdata: { state: 'done', exitCode } });
  }

  /** No guest of these is ever reset. */
  onReset(): () => void {
    return () => undefined;
  }

  onChange(listener: (hostname: string, vm: Vm | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async closeKeepingVms(): Promise<void> {
    this.closed ??= 'kept';
  }

  async stopAll(): Promise<void> {
    this.closed = 'stopped';
    for (const hostname of [...this.guests.keys()]) await this.delete(hostname);
  }

  #changed(hostname: string): void {
    for (const listener of [...this.#listeners]) listener(hostname, this.get(hostname));
  }
}
