// Reads the file of `slicer run`, YAML or JSON. Guarantees: what it returns needs no further check of the
// file, and when it refuses, it names every problem at once, each with line and column. What the machine
// must have besides (interfaces, sockets, disks, secrets) is looked at when the VM starts.
import { resolve } from 'node:path';
import { fail } from '../errors/slicer-error.ts';
import { readCompactJson } from './compact-json.ts';
import { entriesOf } from './document.ts';
import { describeFailure, diskFiles } from './named-files.ts';
import type { RunFileReading } from './run-file-parse.ts';
import { checkRunFile, resolveRunFile } from './run-file-resolve.ts';

const RUN_FILE_MAX_BYTES = 1024 * 1024;

/** Relative paths start at `directory`. Throws not_found where there is no such file, and invalid_config where it can't be read. */
export async function readRunFile(file: string, directory: string = process.cwd()): Promise<RunFileReading> {
  const text = readText(file, directory);
  const compact = readCompactJson(text);
  const { raw } = compact === undefined ? { raw: undefined } : checkRunFile(compact.data);
  if (raw !== undefined) {
    const run = resolveRunFile(raw, directory);
    return { run, problems: [], sound: run };
  }
  // Loaded only here: whoever starts a VM from what a program wrote does not wait for the reader of YAML. That
  // one finds the problems too, as it knows where they are.
  const { readRunText } = await import('./run-file-parse.ts');
  return readRunText(text, { file, directory });
}

/** Whether a file is one VM's rather than a slicer.yaml, whose one key is `config`; false for one that can't be read. */
export async function isRunFile(file: string, directory: string = process.cwd()): Promise<boolean> {
  try {
    const text = readText(file, directory);
    const { readDocument } = await import('./yaml-document.ts');
    const keys = Object.keys(entriesOf(readDocument(text).data));
    return keys.includes('name') && !keys.includes('config');
  } catch {
    return false;
  }
}

function readText(file: string, directory: string): string {
  try {
    return new TextDecoder().decode(diskFiles.read(resolve(directory, file), RUN_FILE_MAX_BYTES));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fail('invalid_config', `"${file}" ${describeFailure(error)}`);
    throw fail('not_found', `"${file}" does not exist`, 'slicer run --help');
  }
}

