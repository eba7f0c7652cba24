// A secret's file before it has its name: whole, owned, with its mode, and on the disk.
import { constants, unlinkSync, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileAttributes } from '../secret/file-attributes.ts';
import type { Secret } from '../secret/secret.ts';
import { temporaryName } from '../temporary/temporary-name.ts';

export interface TemporaryFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly stats: BigIntStats;
  /** Closes the file, and removes it if it still has its temporary name. */
  discard(): Promise<void>;
}

/**
 * Writes and syncs a file in `directory`, which this process must have open. `unique` is 16 hexadecimal digits.
 * Throws the system call's error, with nothing left behind.
 */
export async function writeTemporary(
  directory: string, unique: string, value: Secret, attributes: FileAttributes,
): Promise<TemporaryFile> {
  const path = join(directory, temporaryName(unique));
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(path, flags, 0o600);
  const discard = async (): Promise<void> => {
    try {
      unlinkSync(path);
    } catch {
      // Renamed by now, or on a file system that fails; the next start removes what is left.
    }
    await handle.close();
  };
  try {
    await handle.writeFile(value.reveal());
    const made = await handle.stat();
    const { mode, uid, gid } = attributes;
    // Left out where it changes nothing, so that a store works without root for one's own files.
    if (made.uid !== uid || made.gid !== gid) await handle.chown(uid, gid);
    await handle.chmod(mode);
    await handle.sync();
    return { path, handle, stats: await handle.stat({ bigint: true }), discard };
  } catch (error) {
    await discard();
    throw error;
  }
}
