// The store's own changes. Each is atomic and durable: 1. a temporary file in the same directory, with
// owner, mode and bytes; 2. fsync; 3. rename (link for a new name, so that a file that somebody put there
// meanwhile stays); 4. fsync of the directory.
//
// Listeners hear of a change after step 3, while step 4 runs; the caller's promise waits for step 4. What
// was acknowledged is on the disk. What only a crash of the whole machine can undo is already on its way
// to the guests, which such a crash ends too.
import { fstatSync, linkSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, fileRemedy, isFull } from '../errors/file-fault.ts';
import { fail, SlicerError, type Problem } from '../errors/slicer-error.ts';
import { formatPermissions, ID_MAX, isId, type FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import { SECRET_MAX_BYTES, type Secret } from '../secret/secret.ts';
import type { StoreDirectory } from './directory.ts';
import { attributesOf, modifiedAtMsOf, observe, sameStamp, stampOf, type Stamp } from './entry.ts';
import type { Ledger } from './ledger.ts';
import type { SecretChange, StoredSecret } from './contract.ts';
import { writeTemporary, type TemporaryFile } from './temporary-file.ts';
import type { Tracker } from './tracker.ts';

/** How often a change starts over because somebody changed the file by hand meanwhile. */
const ATTEMPTS = 20;

export interface ChangeParts {
  readonly directory: StoreDirectory;
  readonly ledger: Ledger;
  readonly tracker: Tracker;
  /** 16 fresh hexadecimal digits. */
  readonly unique: () => string;
  /** What is wrong with the directory now; undefined when nothing is. */
  readonly checkDirectory: () => Problem | undefined;
  /** Makes the ledger's next snapshot known. */
  readonly publish: () => void;
  /** The same for a change that was made here. */
  readonly publishOwn: () => void;
}

export async function createSecret(
  parts: ChangeParts, name: SecretName, value: Secret, attributes: FileAttributes,
): Promise<StoredSecret> {
  checkContent(name, value, attributes);
  checkDirectory(parts);
  const path = join(parts.directory.path, name);
  // Looked at before anything is written; linkSync decides.
  if (observe(path).kind !== 'absent') throw exists(parts, name);
  return replacing(parts, name, value, attributes, (temporary) => {
    try {
      linkSync(temporary.path, path);
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? exists(parts, name) : error;
    }
    try {
      unlinkSync(temporary.path);
    } catch {
      // The secret is there; its second name goes with the temporary file, or at the next start.
    }
    return true;
  }) as Promise<StoredSecret>;
}

export async function updateSecret(parts: ChangeParts, name: SecretName, change: SecretChange): Promise<StoredSecret> {
  const path = join(parts.directory.path, name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    checkDirectory(parts);
    const stamp = servedStamp(parts, name);
    const value = change.value ?? heldValue(parts, name, stamp);
    if (value === undefined) {
      parts.tracker.look(name);
      parts.publish();
      await parts.tracker.settled(name);
      continue;
    }
    const attributes = merged(attributesOf(stamp), change);
    checkContent(name, value, attributes);
    const secret = await replacing(parts, name, value, attributes, (temporary) => {
      const now = observe(path);
      if (now.kind !== 'regular' || !sameStamp(now.stamp, stamp)) return false;
      renameSync(temporary.path, path);
      return true;
    });
    if (secret !== undefined) return secret;
  }
  throw fail('store_not_writable', `secret "${name}" is being changed by another process`, 'try again when that is done');
}

export async function removeSecret(parts: ChangeParts, name: SecretName): Promise<void> {
  checkDirectory(parts);
  servedStamp(parts, name);
  try {
    unlinkSync(join(parts.directory.path, name));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw writeFailure(parts, name, error);
  }
  parts.tracker.removed(name);
  parts.ledger.remove(name);
  parts.publishOwn();
  await syncDirectory(parts, name);
}

/** Steps 1 to 4; `putInPlace` is step 3, and returns false to give up with nothing changed. */
async function replacing(
  parts: ChangeParts, name: SecretName, value: Secret, attributes: FileAttributes,
  putInPlace: (temporary: TemporaryFile) => boolean,
): Promise<StoredSecret | undefined> {
  let temporary: TemporaryFile;
  try {
    temporary = await writeTemporary(parts.directory.path, parts.unique(), value, attributes);
  } catch (error) {
    throw writeFailure(parts, name, error);
  }
  let secret: StoredSecret;
  try {
    checkDirectory(parts);
    // From here to `publish` nothing else runs: no event can be weighed in between.
    if (!putInPlace(temporary)) return undefined;
    const stamp = { ...stampOf(temporary.stats), ctimeNs: fstatSync(temporary.handle.fd, { bigint: true }).ctimeNs };
    parts.tracker.wrote(name, stamp);
    secret = parts.ledger.put(name, { value, attributes, modifiedAtMs: modifiedAtMsOf(stamp) });
    parts.publishOwn();
  } catch (error) {
    throw error instanceof SlicerError ? error : writeFailure(parts, name, error);
  } finally {
    await temporary.discard();
  }
  await syncDirectory(parts, name);
  return secret;
}

async function syncDirectory(parts: ChangeParts, name: SecretName): Promise<void> {
  try {
    await parts.directory.handle.sync();
  } catch (error) {
    throw fail('store_not_writable', `the change of secret "${name}" is made, but a power cut could undo it: ${errnoOf(error)}`,
      fileRemedy(errnoOf(error), parts.directory.path));
  }
}

function checkContent(name: SecretName, value: Secret, attributes: FileAttributes): void {
  const { mode, uid, gid } = attributes;
  if (value.sizeBytes > SECRET_MAX_BYTES) {
    throw fail('value_too_large', `secret "${name}" is ${value.sizeBytes} bytes, expected at most ${SECRET_MAX_BYTES}`);
  }
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o777) {
    throw fail('invalid_permissions', `secret "${name}": expected permissions of 0000 to 0777, got ${formatPermissions(mode)}`);
  }
  for (const [field, id] of [['uid', uid], ['gid', gid]] as const) {
    if (!isId(id)) throw fail('invalid_owner', `secret "${name}": expected a ${field} of 0 to ${ID_MAX}, got ${id}`);
  }
}

function checkDirectory(parts: ChangeParts): void {
  const problem = parts.checkDirectory();
  if (problem === undefined) return;
  parts.publish();
  throw new SlicerError([problem]);
}

/** The file as it is now, if a change may be made to it. */
function servedStamp(parts: ChangeParts, name: SecretName): Stamp {
  const now = observe(join(parts.directory.path, name));
  const skipped = parts.ledger.reasonSkipped(name);
  if (now.kind === 'regular' && skipped === undefined) return now.stamp;
  if (now.kind === 'absent') throw fail('secret_not_found', `there is no secret "${name}"`, 'slicer secret list');
  const reason = now.kind === 'regular' ? skipped : now.reason;
  throw fail('secret_not_found', `"${name}" is in the store but is not served: it ${reason}`, 'slicer secret list -v');
}

/** The value that the file has, if the ledger's is that one. */
function heldValue(parts: ChangeParts, name: SecretName, stamp: Stamp): Secret | undefined {
  const taken = parts.tracker.takenStamp(name);
  return taken !== undefined && sameStamp(taken, stamp) ? parts.ledger.get(name)?.value : undefined;
}

function merged(attributes: FileAttributes, change: SecretChange): FileAttributes {
  return { mode: change.mode ?? attributes.mode, uid: change.uid ?? attributes.uid, gid: change.gid ?? attributes.gid };
}

function exists(parts: ChangeParts, name: SecretName): SlicerError {
  const skipped = parts.ledger.reasonSkipped(name);
  return skipped === undefined
    ? fail('secret_exists', `secret "${name}" exists`, `slicer secret update ${name}`)
    : fail('secret_exists', `"${name}" is in the store but is not served: it ${skipped}`, 'slicer secret list -v');
}

function writeFailure(parts: ChangeParts, name: SecretName, error: unknown): SlicerError {
  const errno = errnoOf(error);
  const { path } = parts.directory;
  if (isFull(errno)) {
    return fail('store_full', `secret "${name}" is not changed: the file system of "${path}" is full (${errno})`, fileRemedy(errno, path));
  }
  if (errno === 'EPERM' && (error as NodeJS.ErrnoException).syscall === 'fchown') {
    return fail('store_not_writable', `secret "${name}" is not changed: only root may give a file to another owner (EPERM)`,
      `run slicer up as root, or give the secret an owner that it may: --uid=${process.geteuid?.()} --gid=${process.getegid?.()}`);
  }
  return fail('store_not_writable', `secret "${name}" is not changed: "${path}" cannot be written (${errno})`, fileRemedy(errno, path));
}
