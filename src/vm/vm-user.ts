// The users that VMs run as when Slicer is root: a VM, a user, out of a range that is nobody else's. One
// broken VMM then has the files of its own VM and no more. Which VM has which is kept by the kernel's file
// system: a link in one directory of the machine, which one can make and no second.
import { createHash } from 'node:crypto';
import { readFile, readlink, rmdir, stat, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { isId } from '../secret/file-attributes.ts';
import type { VmSpec } from '../vmm/contract.ts';
import { makePrivate } from './private-directory.ts';
import { removeStaleClaims } from './stale-claims.ts';
import { firstMemoryDirectory } from './runtime-directory.ts';

/** Who a VM's processes are; the group has the same number. */
export interface VmUser {
  readonly uid: number;
  /** Supplementary groups: what opens /dev/kvm, and the VM's taps. */
  readonly groups: readonly number[];
}

export interface UidRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Neither in /etc/passwd nor in /etc/subuid (useradd gives up to 600,100,000), nor one of systemd's (containers
 * end at 1,879,048,191, uid_gid(5) of systemd's documentation).
 */
export const DEFAULT_UIDS: UidRange = { first: 0x7c00_0000, last: 0x7c00_ffff };

/** Below it are people, services, and nobody. */
const UID_MIN = 65_536;
/** The last but one of 32 bits: (uid_t) -1 is none. */
const UID_MAX = 0xffff_fffe;

/**
 * Which users VMs run as. `wish` is SLICER_VM_UIDS: FIRST-LAST, `none` for this process's own, empty or undefined
 * for the default. Undefined where this process is not root: it has no other. Throws invalid_request.
 */
export function chooseUids(wish: string | undefined, ownUid: number, uidMap: string): UidRange | undefined {
  const range = parseUids(wish);
  if (ownUid !== 0 || range === undefined) return undefined;
  if (!isMapped(range, uidMap)) {
    throw fail('invalid_request', `the users ${range.first} to ${range.last}, which VMs run as, are not all in this user namespace`,
      'SLICER_VM_UIDS=FIRST-LAST names others, SLICER_VM_UIDS=none runs VMs as root');
  }
  return range;
}

/** The same for this process. Throws invalid_request. */
export const findVmUids = async (wish: string | undefined): Promise<UidRange | undefined> =>
  chooseUids(wish, (process.geteuid as () => number)(), await readFile('/proc/self/uid_map', 'latin1'));

function parseUids(wish: string | undefined): UidRange | undefined {
  if (wish === undefined || wish === '') return DEFAULT_UIDS;
  if (wish === 'none') return undefined;
  const [first, last] = (/^([0-9]{1,10})-([0-9]{1,10})$/.exec(wish)?.slice(1) ?? []).map(Number);
  if (first === undefined || last === undefined || first < UID_MIN || last < first || last > UID_MAX) {
    throw fail('invalid_request', `SLICER_VM_UIDS is ${JSON.stringify(wish)}; it is FIRST-LAST, with users of ${UID_MIN} to ${UID_MAX}, "none" or not set`);
  }
  return { first, last };
}

/** user_namespaces(7): first user inside, first outside, how many. */
function isMapped({ first, last }: UidRange, uidMap: string): boolean {
  return uidMap.trim().split('\n').some((line) => {
    const [inside = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    return inside <= first && last < inside + count;
  });
}

/** Which user is which VM's, on all of this machine. */
export class VmUsers {
  readonly range: UidRange;
  readonly #ownUid: number;
  readonly #directory: string;

  private constructor(range: UidRange, ownUid: number, directory: string) {
    this.range = range;
    this.#ownUid = ownUid;
    this.#directory = directory;
  }

  /** `memoryDirectories`: where to look for tmpfs, so that nothing outlives the machine's boot. Throws no_memory_file_system. */
  static async open(range: UidRange, ownUid: number, memoryDirectories: readonly string[]): Promise<VmUsers> {
    const directory = join(await firstMemoryDirectory(memoryDirectories), 'slicer-users');
    removeStaleClaims(directory, ownUid, Date.now());
    return new VmUsers(range, ownUid, directory);
  }

  /** The user of the VM with this directory, which nobody else has until `release`. Throws launch_failed, store_not_private. */
  async claim(vmDirectory: string): Promise<number> {
    const { first, last } = this.range;
    const usual = this.#usualOf(vmDirectory);
    for (let uid = usual; uid <= last; uid += 1) if (await this.#take(uid, vmDirectory)) return uid;
    for (let uid = first; uid < usual; uid += 1) if (await this.#take(uid, vmDirectory)) return uid;
    throw fail('launch_failed', `all ${last - first + 1} users that VMs run as are taken`, 'SLICER_VM_UIDS=FIRST-LAST names more');
  }

  /** One that is another VM's by now stays that one's. `uid` undefined: it is not known, and the usual one. */
  async release(vmDirectory: string, uid = this.#usualOf(vmDirectory)): Promise<void> {
    if (await this.#holderOf(uid) !== vmDirectory) return;
    await unlink(this.#linkOf(uid));
    // With the last of them the directory goes.
    await rmdir(this.#directory).catch(() => undefined);
  }

  /** Whether it is some VM's. */
  async isTaken(uid: number): Promise<boolean> {
    return await this.#holderOf(uid) !== undefined;
  }

  /** As a rule a VM of a name has the user that it had before. */
  #usualOf(vmDirectory: string): number {
    const { first, last } = this.range;
    return first + createHash('sha256').update(vmDirectory).digest().readUInt32LE() % (last - first + 1);
  }

  async #take(uid: number, vmDirectory: string): Promise<boolean> {
    for (;;) {
      try {
        await makePrivate(this.#directory, this.#ownUid);
        await symlink(vmDirectory, this.#linkOf(uid));
        return true;
      } catch (error) {
        if (error instanceof SlicerError) throw error;
        const { code } = error as NodeJS.ErrnoException;
        // What a killed launch of this VM left is its own.
        if (code === 'EEXIST') return await this.#holderOf(uid) === vmDirectory;
        // Another's release took the directory away.
        if (code !== 'ENOENT') throw fail('launch_failed', `the user ${uid} can't be claimed for a VM: ${code}`);
      }
    }
  }

  #linkOf(uid: number): string {
    return join(this.#directory, String(uid));
  }

  #holderOf(uid: number): Promise<string | undefined> {
    return readlink(this.#linkOf(uid)).catch(() => undefined);
  }
}

/** What opens /dev/kvm and the VM's taps to its own user. `sysfs`: /sys/class/net. Throws missing_part for what nothing does. */
export async function groupsOf({ accelerator, interfaces, name }: VmSpec, uid: number, sysfs = '/sys/class/net'): Promise<number[]> {
  const ofTaps = await Promise.all(interfaces.map((network) => (network.kind === 'tap' ? tapGroup(network.name, name, uid, sysfs) : [])));
  return [...new Set([...(accelerator === 'kvm' ? await kvmGroups('/dev/kvm') : []), ...ofTaps.flat()])];
}

/** tuntap: it opens to its owner or its group, where it has one, else to everybody. */
async function tapGroup(tap: string, vmName: string, uid: number, sysfs: string): Promise<number[]> {
  const attribute = async (file: string): Promise<number | undefined> => tapId(tap, await readFile(`${sysfs}/${tap}/${file}`, 'latin1').catch(() => NO_ID));
  const [owner, group] = await Promise.all([attribute('owner'), attribute('group')]);
  if (owner !== undefined && owner !== uid) {
    throw fail('missing_part', `the tap "${tap}" is user ${owner}'s, and vm "${vmName}" runs as user ${uid}`,
      `make it without an owner, or for a group: ip tuntap add ${tap} mode tap group GROUP`);
  }
  return group === undefined ? [] : [group];
}

const NO_ID = '-1';

/** A user or group of a tap's, undefined where it has none. Throws missing_part for what is neither: an empty one would be root. */
export function tapId(tap: string, attribute: string): number | undefined {
  const id = attribute.trim();
  if (id === NO_ID) return undefined;
  if (/^[0-9]{1,10}$/.test(id) && isId(Number(id))) return Number(id);
  throw fail('missing_part', `the kernel does not tell whose the tap "${tap}" is`, `ip -d link show ${tap}`);
}

async function kvmGroups(device: string): Promise<number[]> {
  const { gid, mode } = await stat(device);
  if ((mode & 0o006) === 0o006) return [];
  if (gid !== 0 && (mode & 0o060) === 0o060) return [gid];
  throw fail('missing_part', `${device} is for root alone, and VMs run as other users`, `groupadd -rf kvm; chgrp kvm ${device}; chmod g+rw ${device}`);
}
