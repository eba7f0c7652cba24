// Where a VM's sockets, boot token and unclaimed userdata live while it runs: private directories on a
// memory-backed file system, so that what is in them never reaches a disk.
import { createHash } from 'node:crypto';
import { access, chmod, chown, constants, mkdir, rm, rmdir, statfs } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { errnoOf, fileRemedy } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { VmSockets } from '../vmm/contract.ts';
import { HOST_PORT } from '../wire/ports.ts';
import { isPassable, makePrivate } from './private-directory.ts';

/** File system types that keep files in memory (statfs(2)). */
const MEMORY_BACKED: ReadonlySet<number> = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

/** Sticky (inode(7)): who may write there may remove his own only. The group may write and enter, and not list. */
const SHARED_WITH_VM = 0o1730;

/** Longest path of a Unix socket: sun_path of 108 bytes, with its closing NUL (unix(7)). */
const SOCKET_PATH_MAX_BYTES = 107;

/** Directories to look for a memory-backed file system, the best first. */
export function memoryDirectories(env: Readonly<Record<string, string | undefined>>): string[] {
  const own = env['XDG_RUNTIME_DIR'];
  return ['/run', ...(own === undefined || own === '' ? [] : [own]), '/dev/shm'];
}

/**
 * Where the runtime directories of one daemon directory's VMs are: `<memory file system>/slicer-<uid>/<hash>`.
 * `isForOthers`: whether VMs run as users of their own. Throws no_memory_file_system.
 */
export async function chooseRuntimeDirectory(
  daemonDirectory: string,
  uid: number,
  candidates: readonly string[],
  isForOthers = false,
): Promise<string> {
  const hash = createHash('sha256').update(daemonDirectory).digest('hex').slice(0, 8);
  return join(await firstMemoryDirectory(candidates, isForOthers), `slicer-${uid}`, hash);
}

/** Makes the runtime directory of one VM, empty, for `uid` alone. Throws store_not_private. */
export async function makeRuntimeDirectory(runtimeDirectory: string, uid: number): Promise<void> {
  await makeAbove(runtimeDirectory, uid);
  await rm(runtimeDirectory, { recursive: true, force: true });
  await mkdir(runtimeDirectory, { mode: 0o700 });
}

/** Makes the directories above a VM's, which others can pass through where this is root's, to what is theirs. Throws store_not_private. */
export async function makeAbove(runtimeDirectory: string, uid: number): Promise<void> {
  const ofDaemon = dirname(runtimeDirectory);
  const passable = uid === 0;
  await makePrivate(dirname(ofDaemon), uid, passable);
  await makePrivate(ofDaemon, uid, passable);
}

/**
 * Opens a VM's runtime directory to the VM's own user: it can make sockets there, and neither list what is in it
 * nor replace or remove what is this process's.
 */
export async function openToVm(runtimeDirectory: string, uid: number, vmUid: number): Promise<void> {
  await chown(runtimeDirectory, uid, vmUid);
  await chmod(runtimeDirectory, SHARED_WITH_VM);
}

/** Removes what holds no VM's runtime directory any more. */
export async function removeIfEmpty(ofDaemon: string): Promise<void> {
  try {
    await rmdir(ofDaemon);
    await rmdir(dirname(ofDaemon));
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Whether a path has the form of a VM's runtime directory: what a record names is removed with all in it. */
export function isRuntimeDirectory(path: string, hostname: string): boolean {
  return isAbsolute(path) && normalize(path) === path && basename(path) === hostname
    && /^[0-9a-f]{8}$/.test(basename(dirname(path))) && /^slicer-[0-9]+$/.test(basename(dirname(dirname(path))));
}

/** What is said of a system call's error in a VM's runtime directory: launch_failed, with where there is no room. */
export function runtimeFault(runtimeDirectory: string, error: unknown): SlicerError {
  if (error instanceof SlicerError) return error;
  // The file system itself: what is below may be gone with the launch.
  return fail('launch_failed', `the runtime directory ${runtimeDirectory} can't be written (${errnoOf(error)})`,
    fileRemedy(errnoOf(error), dirname(dirname(dirname(runtimeDirectory)))));
}

/** `owner`: the VM's own user, undefined where it has none. */
export function socketsIn(runtimeDirectory: string, owner?: number): VmSockets {
  return {
    ...(owner === undefined ? {} : { owner }),
    vsock: join(runtimeDirectory, 'vm.vsock'),
    vhost: join(runtimeDirectory, 'vhost.sock'),
    control: join(runtimeDirectory, 'control.sock'),
  };
}

/** Throws invalid_request when a socket of the VM would have a path that no socket can have. */
export function checkSocketPaths(hostname: string, runtimeDirectory: string): void {
  const longest = `${socketsIn(runtimeDirectory).vsock}_${HOST_PORT}`;
  const bytes = Buffer.byteLength(longest);
  if (bytes > SOCKET_PATH_MAX_BYTES) {
    throw fail('invalid_request',
      `the socket path of vm "${hostname}" is ${bytes} bytes, the limit is ${SOCKET_PATH_MAX_BYTES}: ${longest}`,
      'use a shorter name for the host group');
  }
}

/**
 * The first of these that is on a memory-backed file system and writable; `isForOthers`: and that every user can
 * pass through. Throws no_memory_file_system.
 */
export async function firstMemoryDirectory(candidates: readonly string[], isForOthers = false): Promise<string> {
  for (const candidate of candidates) {
    try {
      // A 32-bit number that Node hands out with its sign on some platforms.
      const type = (await statfs(candidate)).type >>> 0;
      if (!MEMORY_BACKED.has(type)) continue;
      await access(candidate, constants.W_OK | constants.X_OK);
      if (isForOthers && !await isPassable(candidate)) continue;
      return candidate;
    } catch {
      // Not there, or not ours to write: the next one.
    }
  }
  throw fail('no_memory_file_system',
    `none of ${candidates.join(', ')} is a writable memory-backed file system${isForOthers ? ' that VMs, as users of their own, could reach' : ''}; boot tokens are kept on no other`,
    'mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm');
}
