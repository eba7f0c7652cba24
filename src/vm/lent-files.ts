// Files that a VMM can be given by their path alone, and that its user may not use as they are: disks of Cloud
// Hypervisor and Firecracker, sockets of a virtiofsd. They are that user's while the VM runs, and their owner's
// again after it. Everything else is handed over open.
import { chown, open, stat } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';
import { O_PATH } from '../socket/owned-socket.ts';
import type { Hypervisor } from '../delivery/hypervisor.ts';
import type { VmSpec } from '../vmm/contract.ts';
import { pathOfDescriptor } from '../vmm/inherited-files.ts';
import type { VmUsers } from './vm-user.ts';

export interface LentFile {
  readonly path: string;
  /** Whose it is. */
  readonly owner: number;
}

const READ = 0o4;
const WRITE = 0o2;

/**
 * What has to be lent to the VM's own user, without doing it. `ownUid`: this process's, whose it was when it is a
 * VM's that was never given back. Throws launch_failed for what another VM has.
 */
export async function filesToLend(spec: VmSpec, hypervisor: Hypervisor, uid: number, users: VmUsers, ownUid: number): Promise<LentFile[]> {
  const { volumes, shares } = spec;
  const wanted = [
    ...shares.map(({ socket }) => ({ path: socket, bits: WRITE })),
    // QEMU takes a disk open.
    ...(hypervisor === 'qemu' ? [] : volumes.map(({ path, readOnly }) => ({ path, bits: readOnly ? READ : READ | WRITE }))),
  ];
  const lent: LentFile[] = [];
  for (const { path, bits } of wanted) {
    const { uid: owner, mode } = await stat(path);
    if ((mode & bits) === bits) continue;
    // A VM's that was killed with all that could have given it back.
    const isVms = owner >= users.range.first && owner <= users.range.last;
    if (isVms && owner !== uid && await users.isTaken(owner)) {
      throw fail('launch_failed', `${path}, which vm "${spec.name}" asks for, is another VM's while that runs`);
    }
    lent.push({ path, owner: isVms ? ownUid : owner });
  }
  return lent;
}

/** Throws launch_failed. */
export async function lendFiles(files: readonly LentFile[], uid: number): Promise<void> {
  for (const { path } of files) await changeOwner(path, () => true, uid);
}

/** What is somebody else's by now stays that one's, and what is gone is gone. */
export async function giveBackFiles(files: readonly LentFile[], uid: number): Promise<void> {
  for (const { path, owner } of files) await changeOwner(path, (current) => current === uid, owner).catch(() => undefined);
}

/** Of the very file that was looked at. */
async function changeOwner(path: string, isRight: (owner: number) => boolean, uid: number): Promise<void> {
  const file = await open(path, O_PATH).catch((error: NodeJS.ErrnoException) => {
    throw fail('launch_failed', `${path} can't be opened: ${error.code}`);
  });
  try {
    const { uid: current, gid } = await file.stat();
    if (isRight(current)) await chown(pathOfDescriptor(file.fd), uid, gid);
  } finally {
    await file.close();
  }
}
