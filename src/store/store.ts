// The secrets of a host: one plain file each, in a directory that only its owner can enter. Mode and
// owner of the file are those that the guest's file gets.
//
// Trusts: the user that Slicer runs as, and root, whoever may write to the directory being one of them.
// Served is every regular file whose name keeps the rule, without setuid, setgid or sticky bit, of at
// most 1 MiB, hard links included. (A write through another name of a hard link is seen with the next
// stir in the directory.) `x.bak` or `x.swp` is a legal name; what editors leave behind begins with a
// dot or holds `~` or `#`, which the rule excludes. A link as the directory itself is resolved once.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { errnoOf } from '../errors/file-fault.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { systemClock, type Clock } from './clock.ts';
import type { NameChange, Store } from './contract.ts';
import { DirectoryStore } from './directory-store.ts';
import { openDirectory, removeLeftovers } from './directory.ts';
import { observe } from './entry.ts';
import { KnownFiles } from './known-files.ts';

export type { Clock } from './clock.ts';
export type { NameChange, SecretChange, SkippedFile, Snapshot, Store, StoredSecret } from './contract.ts';

export interface StoreOptions {
  readonly clock?: Clock;
  /** Fresh random bytes, `sizeBytes` of them. */
  readonly random?: (sizeBytes: number) => Uint8Array;
  /** Where to keep what is known of the files, for the next start; without it nothing is. */
  readonly knownFilesPath?: string;
  /** Called, before this resolves, with each change that was made since a process with the same `knownFilesPath` had the store open. */
  readonly onChangedBefore?: (change: NameChange) => void;
  /** Who must own the directory; the effective user unless given. */
  readonly ownerUid?: number;
}

/**
 * Opens the store, makes its directory if it is absent, and reads every secret in it. Throws
 * store_not_private, store_not_readable, store_not_writable, store_full.
 */
export async function openStore(directory: string, options: StoreOptions = {}): Promise<Store> {
  const ownerUid = options.ownerUid ?? (process.geteuid as () => number)();
  const opened = await openDirectory(directory, ownerUid);
  let store: DirectoryStore;
  let knownFiles: KnownFiles | undefined;
  try {
    removeLeftovers(opened);
    knownFiles = options.knownFilesPath === undefined ? undefined : new KnownFiles(options.knownFilesPath);
    store = new DirectoryStore({
      directory: opened, clock: options.clock ?? systemClock, random: options.random ?? randomBytes, knownFiles,
    });
  } catch (error) {
    await opened.handle.close();
    throw error instanceof SlicerError ? error : openFailure(opened.path, errnoOf(error));
  }
  await store.rescan();
  const changes = knownFiles?.open((name) => observe(join(opened.path, name)).kind === 'unknown') ?? [];
  if (options.onChangedBefore !== undefined) changes.forEach(options.onChangedBefore);
  return store;
}

function openFailure(path: string, errno: string): SlicerError {
  // inotify(7): EMFILE is the limit of instances, ENOSPC that of watches.
  if (errno === 'EMFILE' || errno === 'ENOSPC') {
    const limit = errno === 'EMFILE' ? 'max_user_instances' : 'max_user_watches';
    return fail('store_not_readable', `the store "${path}" cannot be watched: the user's limit is reached (${errno})`,
      `sysctl fs.inotify.${limit}`);
  }
  return fail('store_not_readable', `the store "${path}" cannot be opened: ${errno}`);
}
