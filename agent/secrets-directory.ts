// A directory that holds secrets, as files or as credentials, and the one beside it (`DIR.agent`, 0700) with what the agent
// itself needs: values being staged, the list of files that it put there, its control socket. Both are on
// a memory-backed file system, so that no value ever reaches a disk; anything else is refused.
import * as os from 'os';
import * as sys from 'sys';
import { Fault } from './fault.ts';

export const DEFAULT_DIRECTORY = '/run/slicer/secrets';

/** Where systemd looks for the credentials that a service names (systemd.exec(5), LoadCredential=). */
export const DEFAULT_CREDSTORE = '/run/credstore';

/** systemd makes others' credential stores so (tmpfiles.d, credstore.conf). */
export const CREDSTORE_MODE = 0o700;
export const SECRETS_MODE = 0o755;

/** statfs(2). A guest whose root is its initramfs has ramfs or tmpfs there. */
const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;

export interface SecretsDirectory {
  readonly path: string;
  readonly fd: number;
  readonly statePath: string;
  readonly stateFd: number;
  readonly stagingFd: number;
}

/** Makes what is absent; mounts a tmpfs of its own for the default directory when /run is not one. */
export function openSecretsDirectory(path: string, mode: number): SecretsDirectory {
  const parent = path.slice(0, path.lastIndexOf('/')) || '/';
  makeParents(parent);
  if (!isMemoryBacked(parent) && path === DEFAULT_DIRECTORY) sys.mountTmpfs(parent);
  requireMemoryBacked(parent);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const parentFd = sys.openDirectory(parent);
  const fd = sys.makeDirectory(parentFd, name, mode);
  const stateFd = sys.makeDirectory(parentFd, `${name}.agent`, 0o700);
  const stagingFd = sys.makeDirectory(stateFd, 'staging', 0o700);
  sys.close(parentFd);
  // A mount of somebody else's may stand at the directory itself.
  requireMemoryBacked(path);
  return { path, fd, statePath: `${path}.agent`, stateFd, stagingFd };
}

function makeParents(path: string): void {
  const parts = path.split('/').slice(1);
  parts.forEach((_, index) => os.mkdir(`/${parts.slice(0, index + 1).join('/')}`, 0o755));
}

function isMemoryBacked(path: string): boolean {
  const type = sys.fileSystemType(path);
  return type === TMPFS_MAGIC || type === RAMFS_MAGIC;
}

function requireMemoryBacked(path: string): void {
  if (isMemoryBacked(path)) return;
  const type = sys.fileSystemType(path).toString(16);
  throw new Fault('EMEDIUMTYPE', `expected ${path} on tmpfs or ramfs, got file system type 0x${type}`);
}

/** Removes what an interrupted change left. */
export function clearStaging(directory: SecretsDirectory): void {
  const [names] = os.readdir(`${directory.statePath}/staging`);
  for (const name of names) {
    if (name !== '.' && name !== '..') sys.removeFile(directory.stagingFd, name);
  }
}
