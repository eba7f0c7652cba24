// What the parts above see of VMs: snapshots that never change, and the operations on them. A VM's
// processes outlive the daemon that launched it; its record on disk is what a later daemon adopts it by.
import type { VmmChoice } from '../delivery/hypervisor.ts';
import type { Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import type { Balloon, NetworkInterface, Share, Volume } from '../vmm/contract.ts';

/**
 * `starting`: its processes are being started; `running`: the VMM took its configuration and runs;
 * `stopping`: on its way out, by `delete`; `stopped`: the guest powered itself off; `failed`: it ended
 * in any other way. The last two keep record and console log until they are deleted.
 */
export type VmStatus = 'starting' | 'running' | 'stopping' | 'stopped' | 'failed';

/**
 * `waiting`: the guest may still ask for it; `claimed`: it left the host; `done`: the guest reported
 * its end. Whatever happens, a script leaves the host at most once.
 */
export type Userdata =
  | { readonly state: 'none' }
  | { readonly state: 'waiting' }
  | { readonly state: 'claimed' }
  | { readonly state: 'done'; readonly exitCode: number };

/** A systemd credential that a VM was given at boot: its name, and the secret it was made of. */
export interface GivenCredential {
  readonly name: string;
  readonly secret: SecretName;
}

/** A systemd credential that a VM is given while it runs, and that follows its secret. */
export interface LiveCredential extends GivenCredential {
  /** Whether one newline at the value's end is left out. */
  readonly trimNewline: boolean;
}

interface AnyVm {
  /** A DNS label, unique among the VMs of one daemon. */
  readonly hostname: string;
  readonly status: VmStatus;
  /** Why it is `failed` or `stopped`; absent otherwise. */
  readonly reason?: string;
  readonly grant: Grant;
  readonly tags: readonly string[];
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  /** Where the guest's connections to port P arrive as `PATH_P`, and where `CONNECT P` dials the guest. */
  readonly vsockPath: string;
  /** The user that its processes run as, whose that socket is; absent where that is this process's, or not known. */
  readonly vmUid?: number;
}

/** A VM whose processes are Slicer's. */
export interface LaunchedVm extends AnyVm {
  readonly kind: 'launched';
  readonly group: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly vmm: VmmChoice;
  /** In the VM's firmware tables until it ends, whatever becomes of the secrets. */
  readonly credentials: readonly GivenCredential[];
  readonly liveCredentials: readonly LiveCredential[];
  readonly userdata: Userdata;
  /** The last lines of the console, a moment after its end; empty unless `failed` or `stopped`. As the guest wrote them. */
  readonly lastConsoleLines: readonly string[];
}

/** A VM that something else started: Slicer knows its VSOCK socket and its grant, always `running`. */
export interface AttachedVm extends AnyVm {
  readonly kind: 'attached';
}

export type Vm = LaunchedVm | AttachedVm;

export interface LaunchRequest {
  /** The host group; names the VM `<group>-N` with N one above the highest there is, unless `hostname` does. */
  readonly group: string;
  readonly hostname?: string;
  /** 1 to 255. */
  readonly cpus: number;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  readonly vmm: VmmChoice;
  readonly kernel: string;
  /** The same kernel where the firmware's tables need room; see vmm/kernel-choice.ts. */
  readonly lowInitrdKernel?: string;
  readonly initrd?: string;
  /** The kernel's command line, world-readable in the guest; `slicer.hostname=HOSTNAME` is put before it. */
  readonly cmdline: string;
  readonly volumes: readonly Volume[];
  readonly interfaces: readonly NetworkInterface[];
  readonly grant: Grant;
  /** What the boot channel carries besides Slicer's own: planned before, so that all of it fits (delivery/plan.ts). */
  readonly credentials: readonly (GivenCredential & { readonly value: Secret })[];
  readonly liveCredentials: readonly LiveCredential[];
  /** OEM strings that are no secrets, as they stand; none when absent. */
  readonly oemStrings?: readonly string[];
  /** None when absent. */
  readonly shares?: readonly Share[];
  readonly balloon?: Balloon;
  /** False when absent. */
  readonly watchdog?: boolean;
  /** Drawn when absent. */
  readonly guestCid?: number;
  readonly tags: readonly string[];
  /** The script that the guest runs once. It is kept on tmpfs until the guest claims it. */
  readonly userdata?: Uint8Array;
  /** How long the guest may take to power off when asked to; 0: it is not asked. */
  readonly stopGraceMs: number;
}

export interface AttachRequest {
  readonly hostname: string;
  readonly vsockPath: string;
  readonly grant: Grant;
  readonly tags: readonly string[];
}

/** What the guest is given besides secrets. Lives on tmpfs as long as the VM. */
export interface GuestMaterial {
  /** Absent where the VM has no boot channel, or none that Slicer knows of. */
  readonly bootToken?: Secret;
  /** Present while `userdata.state` is `waiting`. */
  readonly userdata?: Uint8Array;
}

export interface LaunchHooks {
  /**
   * Called when the VM's directories and boot token exist and none of its processes does. The live
   * server for the VM must listen when this resolves; when it rejects, the launch is undone.
   */
  beforeStart(vm: LaunchedVm): Promise<void>;
}

export interface ConsoleLog {
  readonly lines: number;
  /** As the guest wrote it, invalid UTF-8 replaced: may hold control characters. */
  readonly content: string;
}

export interface Vms {
  /** By group and number. */
  list(): readonly Vm[];
  get(hostname: string): Vm | undefined;
  /**
   * Resolves when the VM is `running`. Any failure undoes every step and leaves no record. Throws
   * invalid_name, vm_exists, invalid_request, missing_part, launch_failed, store_not_private,
   * shutting_down.
   */
  launch(request: LaunchRequest, hooks: LaunchHooks): Promise<LaunchedVm>;
  /** Keeps the record of a VM that something else started. Throws vm_exists. */
  attach(request: AttachRequest): Promise<AttachedVm>;
  /**
   * Ends the VM (power button, grace, then by force), and removes its processes, sockets and files;
   * of an attached VM only the record. Throws vm_not_found.
   */
  delete(hostname: string): Promise<void>;
  /** The last `lines` lines of the console, all that is kept for 0; none of an attached VM. Throws vm_not_found. */
  logs(hostname: string, lines: number): Promise<ConsoleLog>;
  /** Throws vm_not_found, vm_not_running. */
  guestMaterial(hostname: string): Promise<GuestMaterial>;
  /**
   * Resolves when it is on disk that the script was handed out: nothing hands it out again. Throws
   * vm_not_found, and vm_not_running when there is no script that waits.
   */
  userdataClaimed(hostname: string): Promise<void>;
  /** Throws vm_not_found; a result for a script that was not claimed, or a second one, is ignored. */
  userdataDone(hostname: string, exitCode: number): Promise<void>;
  /** Calls `listener` after every change of a VM, with `undefined` as `vm` once it is gone. Returns how to stop. */
  onChange(listener: (hostname: string, vm: Vm | undefined) => void): () => void;
  /** Calls `listener` when a guest's machine was reset, by itself or from outside. Returns how to stop. */
  onReset(listener: (hostname: string) => void): () => void;
  /** Stops watching; the VMs go on, and a later daemon adopts them. Launches under way are ended first. */
  closeKeepingVms(): Promise<void>;
  /** Deletes every VM that runs, then closes; records of VMs that ended before stay. */
  stopAll(): Promise<void>;
}
