// All VMs of one daemon: names, records, and the operations of contract.ts. Opening adopts the VMs that
// a daemon before left running, and clears what others left half-started or half-ended.
import { realpath } from 'node:fs/promises';
import { resolve, join } from 'node:path';
import type { GuestArch } from '../delivery/hypervisor.ts';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import type { Accelerator } from '../vmm/contract.ts';
import { readConsole } from './console-log.ts';
import type { AttachRequest, AttachedVm, LaunchedVm, LaunchHooks, LaunchRequest, Vm, Vms } from './contract.ts';
import { drawCid, drawHostPort, withHostPort } from './drawn-address.ts';
import { newBootToken } from './guest-material.ts';
import { isHostname, nextHostname, sortedByHostname } from './hostname.ts';
import { Machine } from './machine.ts';
import type { MachineParts } from './machine-parts.ts';
import { readBootId } from './process-table.ts';
import type { VmPrograms } from './programs.ts';
import type { AttachedRecord, LaunchedRecord } from './record.ts';
import { recordOfDamaged, RecordDirectory } from './record-directory.ts';
import { checkSocketPaths, chooseRuntimeDirectory, removeIfEmpty } from './runtime-directory.ts';
import { attachedVm } from './view.ts';
import { VmUsers, type UidRange } from './vm-user.ts';
import { ProcessPoll } from './watched-process.ts';

export interface VmsOptions {
  readonly daemonDirectory: string;
  readonly uid: number;
  /** Where to look for tmpfs: see `memoryDirectories`. */
  readonly memoryDirectories: readonly string[];
  /** The users that VMs run as; undefined where that is this process's. */
  readonly vmUids?: UidRange | undefined;
  readonly programs: VmPrograms;
  readonly accelerator: Accelerator;
  readonly arch: GuestArch;
  /** In kHz; undefined where it is not known. */
  readonly tscKhz: number | undefined;
  /** Whether QEMU's guests have VSOCK from the host's kernel. */
  readonly kernelVsock: boolean;
  /** How long a VM's processes may take until its VMM took its configuration; 60,000 by default. */
  readonly startLimitMs?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Cryptographically random. */
  readonly randomBytes: (count: number) => Uint8Array;
  readonly warn: (message: string) => void;
}

const MIB = 1024 * 1024;
const CPUS_MAX = 255;
const START_LIMIT_MS = 60_000;

/** Resolves when every VM on disk is adopted or cleared. Throws no_memory_file_system. */
export async function openVms(options: VmsOptions): Promise<Vms> {
  const daemonDirectory = await realpath(options.daemonDirectory);
  const runtimeDirectory = await chooseRuntimeDirectory(daemonDirectory, options.uid, options.memoryDirectories, options.vmUids !== undefined);
  const records = await RecordDirectory.open(daemonDirectory, options.uid);
  const users = options.vmUids === undefined ? undefined : await VmUsers.open(options.vmUids, options.uid, options.memoryDirectories);
  const vms = new OpenVms(options, records, runtimeDirectory, users);
  await vms.adoptAll();
  return vms;
}

class OpenVms implements Vms {
  readonly #options: VmsOptions;
  readonly #records: RecordDirectory;
  readonly #runtimeDirectory: string;
  readonly #parts: MachineParts;
  readonly #poll = new ProcessPoll();
  readonly #machines = new Map<string, Machine>();
  readonly #attached = new Map<string, AttachedVm>();
  readonly #listeners = new Set<(hostname: string, vm: Vm | undefined) => void>();
  readonly #resetListeners = new Set<(hostname: string) => void>();
  #closing = false;

  constructor(options: VmsOptions, records: RecordDirectory, runtimeDirectory: string, users: VmUsers | undefined) {
    this.#options = options;
    this.#records = records;
    this.#runtimeDirectory = runtimeDirectory;
    this.#parts = {
      programs: options.programs,
      accelerator: options.accelerator,
      arch: options.arch,
      tscKhz: options.tscKhz,
      startLimitMs: options.startLimitMs ?? START_LIMIT_MS,
      records,
      poll: this.#poll,
      bootId: readBootId(),
      uid: options.uid,
      users,
      newBootToken: () => newBootToken(options.randomBytes),
      warn: options.warn,
      changed: (hostname) => this.#changed(hostname),
      reset: (hostname) => {
        for (const listener of [...this.#resetListeners]) listener(hostname);
      },
    };
  }

  async adoptAll(): Promise<void> {
    const machines: Machine[] = [];
    for (const found of await this.#records.readAll()) {
      if (found.damage !== undefined) this.#options.warn(found.damage);
      const record = found.record ?? recordOfDamaged(found, this.#runtimeDirectory);
      if (record.kind === 'attached') this.#attached.set(record.hostname, attachedVm(record));
      else machines.push(this.#add(record));
    }
    // One VM that can't be cleared, a process that the kernel holds for instance, keeps none of the others.
    await Promise.all(machines.map((machine) => machine.adopt().catch((error: Error) =>
      this.#options.warn(`vm "${machine.hostname}": ${error.message}`))));
  }

  list(): readonly Vm[] {
    return sortedByHostname<Vm>([...this.#attached.values(), ...[...this.#machines.values()].map(({ snapshot }) => snapshot)]);
  }

  get(hostname: string): Vm | undefined {
    return this.#machines.get(hostname)?.snapshot ?? this.#attached.get(hostname);
  }

  async launch(request: LaunchRequest, hooks: LaunchHooks): Promise<LaunchedVm> {
    if (!this.#options.kernelVsock || request.vmm.hypervisor !== 'qemu') return this.#launchWith(undefined, request, hooks);
    const { randomBytes } = this.#options;
    const taken = (): number[] => [...this.#machines.values()].flatMap(({ hostPort }) => hostPort ?? []);
    return withHostPort((refused) => drawHostPort(randomBytes, new Set([...refused, ...taken()])), (hostPort) => this.#launchWith(hostPort, request, hooks));
  }

  async #launchWith(hostPort: number | undefined, request: LaunchRequest, hooks: LaunchHooks): Promise<LaunchedVm> {
    this.#refuseWhenClosing();
    const hostname = request.hostname ?? nextHostname(request.group, this.#hostnames());
    this.#checkFree(hostname);
    checkSize(hostname, request);
    const runtimeDirectory = join(this.#runtimeDirectory, hostname);
    checkSocketPaths(hostname, runtimeDirectory);
    const machines = [...this.#machines.values()];
    // From here on the name is taken: nothing was awaited since it was checked.
    const machine = this.#add({
      version: 1,
      kind: 'launched',
      hostname,
      status: 'starting',
      group: request.group,
      grant: copyGrant(request.grant),
      tags: [...request.tags],
      created_at_ms: this.#options.now(),
      cpus: request.cpus,
      ram_bytes: request.ramBytes,
      stop_grace_ms: request.stopGraceMs,
      vmm: { ...request.vmm },
      credentials: request.credentials.map(({ name, secret }) => ({ name, secret })),
      live_credentials: request.liveCredentials.map(({ name, secret, trimNewline }) => ({ name, secret, trim_newline: trimNewline })),
      userdata: { state: request.userdata === undefined ? 'none' : 'waiting' },
      guest_cid: request.guestCid ?? drawCid(this.#options.randomBytes, new Set(machines.map(({ guestCid }) => guestCid))),
      ...(hostPort === undefined ? {} : { host_port: hostPort }),
      runtime_directory: runtimeDirectory,
      lent: [],
      boot_id: this.#parts.bootId,
      processes: [],
    });
    return machine.launch(request, hooks);
  }

  async attach(request: AttachRequest): Promise<AttachedVm> {
    this.#refuseWhenClosing();
    this.#checkFree(request.hostname);
    const record: AttachedRecord = {
      version: 1,
      kind: 'attached',
      hostname: request.hostname,
      grant: copyGrant(request.grant),
      tags: [...request.tags],
      created_at_ms: this.#options.now(),
      vsock_path: resolve(request.vsockPath),
    };
    const vm = attachedVm(record);
    this.#attached.set(vm.hostname, vm);
    try {
      await this.#records.create(record);
    } catch (error) {
      this.#attached.delete(vm.hostname);
      throw error;
    }
    this.#changed(vm.hostname);
    return vm;
  }

  async delete(hostname: string): Promise<void> {
    if (this.#attached.has(hostname)) {
      await this.#records.remove(hostname);
      this.#attached.delete(hostname);
      this.#changed(hostname);
      return;
    }
    await this.#machine(hostname).delete();
  }

  async logs(hostname: string, lines: number): ReturnType<Vms['logs']> {
    if (this.get(hostname) === undefined) throw notFound(hostname);
    return readConsole(this.#records.of(hostname), lines);
  }

  async guestMaterial(hostname: string): ReturnType<Vms['guestMaterial']> {
    return this.#attached.has(hostname) ? {} : this.#machine(hostname).guestMaterial();
  }

  async userdataClaimed(hostname: string): Promise<void> {
    await this.#machine(hostname).userdataClaimed();
  }

  async userdataDone(hostname: string, exitCode: number): Promise<void> {
    await this.#machine(hostname).userdataDone(exitCode);
  }

  onChange(listener: (hostname: string, vm: Vm | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onReset(listener: (hostname: string) => void): () => void {
    this.#resetListeners.add(listener);
    return () => void this.#resetListeners.delete(listener);
  }

  async closeKeepingVms(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#machines.values()].map((machine) => machine.close()));
    this.#poll.close();
    await removeIfEmpty(this.#runtimeDirectory);
  }

  async stopAll(): Promise<void> {
    this.#closing = true;
    const live = [...this.#machines.values()].filter(({ isLive }) => isLive);
    const results = await Promise.allSettled(live.map((machine) => machine.delete()));
    await this.closeKeepingVms();
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason as Error;
    }
  }

  #add(record: LaunchedRecord): Machine {
    const machine = new Machine(record, this.#parts);
    this.#machines.set(record.hostname, machine);
    return machine;
  }

  #machine(hostname: string): Machine {
    const machine = this.#machines.get(hostname);
    if (machine === undefined) throw notFound(hostname);
    return machine;
  }

  #changed(hostname: string): void {
    if (this.#machines.get(hostname)?.isRemoved === true) this.#machines.delete(hostname);
    const vm = this.get(hostname);
    for (const listener of [...this.#listeners]) listener(hostname, vm);
  }

  #hostnames(): string[] {
    return [...this.#machines.keys(), ...this.#attached.keys()];
  }

  #checkFree(hostname: string): void {
    if (!isHostname(hostname)) {
      throw fail('invalid_name', `host name ${JSON.stringify(hostname)} is not 1 to 63 of a-z 0-9 -, beginning and ending with none of -`);
    }
    if (this.get(hostname) !== undefined) {
      throw fail('vm_exists', `vm "${hostname}" is there already`, 'slicer vm list');
    }
  }

  #refuseWhenClosing(): void {
    if (this.#closing) throw fail('shutting_down', 'slicer is shutting down and starts no more VMs');
  }
}

function copyGrant(grant: LaunchRequest['grant']): LaunchedRecord['grant'] {
  return grant === 'all' ? 'all' : [...grant];
}

function checkSize(hostname: string, { cpus, ramBytes }: LaunchRequest): void {
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX) {
    throw fail('invalid_request', `vm "${hostname}" has ${cpus} cpus; it can have 1 to ${CPUS_MAX}`);
  }
  if (!Number.isInteger(ramBytes / MIB) || ramBytes < MIB) {
    throw fail('invalid_request', `vm "${hostname}" has ${ramBytes} bytes of memory; it takes whole MiB`);
  }
}

function notFound(hostname: string): SlicerError {
  return fail('vm_not_found', `there is no vm "${hostname}"`, 'slicer vm list');
}
