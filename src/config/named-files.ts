// The files that a configuration names: whether they are there, and the scripts among them. Works on data
// that the schema may have refused, so that one run shows the problems of both.
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { USERDATA_MAX_BYTES } from '../wire/protocol.ts';
import { entriesOf, type Issue, type Path } from './document.ts';

/** Both throw the system call's error, or an error whose message is the fact. */
export interface ConfigFiles {
  /** Throws too when the file has more than `maxBytes`. */
  readonly read: (path: string, maxBytes: number) => Uint8Array;
  /** Throws unless `path` leads to a regular file. */
  readonly check: (path: string) => void;
}

export const diskFiles: ConfigFiles = {
  read(path, maxBytes) {
    diskFiles.check(path);
    const { size } = statSync(path);
    if (size > maxBytes) throw new RangeError(`is ${size} bytes, expected at most ${maxBytes}`);
    return readFileSync(path);
  },
  check(path) {
    if (!statSync(path).isFile()) throw new TypeError('is not a file');
  },
};

export interface NamedFiles {
  readonly issues: readonly Issue[];
  /** The scripts, by the index of the host group that names one. */
  readonly userdata: ReadonlyMap<number, string>;
}

export function readNamedFiles(data: unknown, directory: string, files: ConfigFiles): NamedFiles {
  const issues: Issue[] = [];
  const userdata = new Map<number, string>();
  const attempt = (path: Path, value: unknown, use: (file: string) => void): void => {
    if (typeof value !== 'string' || value === '' || value.includes('\0')) return;
    const file = absolutePath(value, directory);
    try {
      use(file);
    } catch (error) {
      issues.push({ path, at: 'value', message: `"${file}" ${describeFailure(error)}` });
    }
  };
  const attemptImage = (path: Path, value: unknown): void => {
    // Other texts are no paths; the schema says so.
    if (typeof value === 'string' && isImagePath(value)) attempt(path, value, files.check);
  };

  const config = entriesOf(entriesOf(data)['config']);
  attempt(['config', 'kernel_file'], config['kernel_file'], files.check);
  attemptImage(['config', 'image'], config['image']);
  const groups = Array.isArray(config['host_groups']) ? config['host_groups'] : [];
  for (const [index, group] of groups.entries()) {
    const path: Path = ['config', 'host_groups', index];
    attemptImage([...path, 'image'], entriesOf(group)['image']);
    attempt([...path, 'userdata_file'], entriesOf(group)['userdata_file'], (file) => {
      userdata.set(index, decode(files.read(file, USERDATA_MAX_BYTES)));
    });
  }
  return { issues, userdata };
}

/** `~/` is the home directory of the user that runs Slicer. */
export function absolutePath(path: string, directory: string): string {
  return resolve(directory, path.replace(/^~(?=\/)/, homedir()));
}

/** Whether an `image` is one that Slicer makes. */
export function isImageName(image: unknown): image is 'tiny' | 'debian' {
  return image === 'tiny' || image === 'debian';
}

/** Whether an `image` is a path: a name without one of these beginnings is that of an image. */
export function isImagePath(image: string): boolean {
  return /^(~|\.{0,2})\/[^\0]+$/.test(image);
}

/** What went wrong with a file, as the end of a sentence that begins with its name. */
export function describeFailure(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return message;
  return code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code}`;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TypeError('is not UTF-8');
  }
}

const MIB = 1024 * 1024;
const RAM_MIN_BYTES = 64 * MIB;
const DEBIAN_RAM_MIN_BYTES = 128 * MIB;

/** What a guest needs to boot: below that its kernel fails again and again, and nobody is told. */
export const ramMinBytes = (image: unknown): number => (image === 'debian' ? DEBIAN_RAM_MIN_BYTES : RAM_MIN_BYTES);
