// Opens what a VM's process inherits, as its plan has it.
import { closeSync, fchownSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { constants, copyFile, open, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { O_PATH } from '../socket/owned-socket.ts';
import { isPassable } from './private-directory.ts';
import { runtimeFault } from './runtime-directory.ts';
import type { InheritedDescriptor } from '../vmm/contract.ts';

const READ_BY_OTHERS = 0o004;
const EXECUTED_BY_OTHERS = 0o001;

/** What a process inherits, until the caller closes it. */
export type OpenFile = Pick<FileHandle, 'fd' | 'close'>;

export interface InheritedFrom {
  /** One for each boot slot. */
  readonly values: readonly Secret[];
  readonly runtimeDirectory: string;
  /** Who opens what it inherits by name; undefined where that is this process's user. */
  readonly owner: number | undefined;
}

/** Throws launch_failed with the file's path, or the runtime directory's where that has no room. */
export async function openInherited(descriptor: InheritedDescriptor, { values, runtimeDirectory, owner }: InheritedFrom): Promise<OpenFile> {
  const inMemory = async (make: () => OpenFile | Promise<OpenFile>): Promise<OpenFile> => {
    try {
      return await make();
    } catch (error) {
      throw runtimeFault(runtimeDirectory, error);
    }
  };
  if (descriptor.kind === 'boot-slot') return inMemory(() => openUnlinked(join(runtimeDirectory, 'boot-slot'), values[descriptor.index] as Secret, owner));
  const { path } = descriptor;
  try {
    if (descriptor.kind === 'device') return await open(path, 'r+');
    switch (descriptor.access) {
      case 'open': return await open(path, 'r');
      case 'open-writable': return await open(path, 'r+');
      case 'name': return await open(path, O_PATH);
      case 'content': {
        const file = await open(path, 'r');
        if (owner === undefined || await isOpenTo(path, READ_BY_OTHERS)) return file;
        await file.close();
        return await inMemory(() => openCopy(path, join(runtimeDirectory, 'copy'), owner));
      }
    }
  } catch (error) {
    if (error instanceof SlicerError) throw error;
    throw fail('launch_failed', `${path} can't be opened: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/**
 * A file without a name, open for reading: gone with its last reader. It has no name before it has content. It is in
 * memory, where no call waits for a disk: a start of a VM with a dozen values is spared eighty turns of the event loop.
 */
function openUnlinked(path: string, content: Secret, owner: number | undefined): OpenFile {
  const writer = openSync(path, 'wx', 0o600);
  let reader: number | undefined;
  try {
    try {
      reader = openSync(path, 'r');
    } finally {
      unlinkSync(path);
    }
    // QEMU opens it once more, by its descriptor's name.
    if (owner !== undefined) fchownSync(writer, owner, owner);
    writeFileSync(writer, content.reveal());
  } catch (error) {
    if (reader !== undefined) closeSync(reader);
    throw error;
  } finally {
    closeSync(writer);
  }
  return { fd: reader, close: async () => closeSync(reader) };
}

/** A file that is closed to the VM's user is so to others for a reason: that user gets a copy without a name, in memory. */
async function openCopy(path: string, place: string, owner: number): Promise<FileHandle> {
  await copyFile(path, place, constants.COPYFILE_EXCL);
  try {
    const copy = await open(place, 'r');
    await copy.chown(owner, owner);
    return copy;
  } finally {
    await unlink(place);
  }
}

/** Whether every user can start the program by its path. */
export async function isProgramOfAll(path: string): Promise<boolean> {
  return await isOpenTo(path, READ_BY_OTHERS | EXECUTED_BY_OTHERS) && isPassable(dirname(path));
}

const isOpenTo = (path: string, bits: number): Promise<boolean> => stat(path).then(({ mode }) => (mode & bits) === bits, () => false);
