// What of this machine is one VM's: its runtime directory, its user, and the files that are lent to that. Made
// before its processes start, and cleared when none of them is left.
import { rm } from 'node:fs/promises';
import type { Hypervisor } from '../delivery/hypervisor.ts';
import type { VmSpec } from '../vmm/contract.ts';
import type { GuestMaterial } from './contract.ts';
import { writeMaterial } from './guest-material.ts';
import { filesToLend, giveBackFiles, lendFiles, type LentFile } from './lent-files.ts';
import type { MachineParts } from './machine-parts.ts';
import { endProcesses, findMarked } from './process-table.ts';
import type { LaunchedRecord } from './record.ts';
import { makeRuntimeDirectory, openToVm, runtimeFault } from './runtime-directory.ts';
import { endVm } from './start.ts';
import { groupsOf, type VmUser, type VmUsers } from './vm-user.ts';

/** What a VM's processes run as, and what they have: undefined as this process's user, who has it all. */
export interface OwnUser {
  readonly user: VmUser;
  readonly lent: readonly LentFile[];
}

/** `uid`: the user that was claimed. Nothing is changed. Throws missing_part, launch_failed. */
export async function ownUserOf(spec: VmSpec, { uid, vmm }: Pick<LaunchedRecord, 'uid' | 'vmm'>, users: VmUsers | undefined, ownUid: number): Promise<OwnUser | undefined> {
  if (uid === undefined || users === undefined) return undefined;
  return {
    user: { uid, groups: await groupsOf(spec, uid) },
    lent: await filesToLend(spec, vmm.hypervisor, uid, users, ownUid),
  };
}

/** The user of a VM that ends with this process. */
export interface ForegroundUser {
  readonly uid: number;
  /** What its processes run as, once what they need is lent to them. Throws missing_part, launch_failed. */
  prepare(spec: VmSpec, hypervisor: Hypervisor): Promise<VmUser>;
  /** When none of its processes is left. */
  release(): Promise<void>;
}

/** Throws launch_failed. */
export async function takeForegroundUser(users: VmUsers, directory: string, ownUid: number): Promise<ForegroundUser> {
  const uid = await users.claim(directory);
  let lent: readonly LentFile[] = [];
  return {
    uid,
    prepare: async (spec, hypervisor) => {
      lent = await filesToLend(spec, hypervisor, uid, users, ownUid);
      await lendFiles(lent, uid);
      return { uid, groups: await groupsOf(spec, uid) };
    },
    release: async () => {
      await giveBackFiles(lent, uid);
      await users.release(directory, uid);
    },
  };
}

/** The runtime directory with what the guest is given. Throws store_not_private, launch_failed. */
export async function makePlace(runtimeDirectory: string, ownUid: number, material: GuestMaterial, own: OwnUser | undefined): Promise<void> {
  try {
    await makeRuntimeDirectory(runtimeDirectory, ownUid);
    await writeMaterial(runtimeDirectory, material);
  } catch (error) {
    throw runtimeFault(runtimeDirectory, error);
  }
  if (own === undefined) return;
  await openToVm(runtimeDirectory, ownUid, own.user.uid);
  await lendFiles(own.lent, own.user.uid);
}

/** Processes, sockets, boot token, userdata, user: everything but the record and the log in `vmDirectory`. */
export async function clearPlace(record: LaunchedRecord, vmDirectory: string, { bootId, users }: Pick<MachineParts, 'bootId' | 'users'>): Promise<void> {
  const { processes, boot_id, runtime_directory, uid, lent } = record;
  if (boot_id === bootId) await endVm(processes);
  await endProcesses(await findMarked(vmDirectory), 0);
  await rm(runtime_directory, { recursive: true, force: true });
  if (uid !== undefined) await giveBackFiles(lent, uid);
  // Last: from here on it may be another VM's.
  await users?.release(vmDirectory, uid);
}
