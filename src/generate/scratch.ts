// A generator's own program works in a directory on a memory-backed file system, which goes with it:
//
//   out       where it puts what it makes
//   in        the values of what it depends on, as GENERATOR/FILE
//   prompts   what was typed, one file a prompt
//   home      its working directory, HOME and TMPDIR
import { constants, existsSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GeneratorFile } from '../config/generators.ts';
import { fail } from '../errors/slicer-error.ts';
import { Secret, SECRET_MAX_BYTES } from '../secret/secret.ts';

export interface Scratch {
  readonly path: string;
  readonly out: string;
  readonly in: string;
  readonly prompts: string;
  readonly home: string;
}

/** `parent` is private and on tmpfs. The directory is removed when `use` is done, however that ends. */
export async function withScratch<Result>(parent: string, use: (scratch: Scratch) => Promise<Result>): Promise<Result> {
  await removeLeftovers(parent);
  const path = await mkdtemp(join(parent, `generate-${process.pid}-`));
  try {
    const scratch = { path, out: join(path, 'out'), in: join(path, 'in'), prompts: join(path, 'prompts'), home: join(path, 'home') };
    for (const each of [scratch.out, scratch.in, scratch.prompts, scratch.home]) await mkdir(each, { mode: 0o700 });
    return await use(scratch);
  } finally {
    await removeTree(path);
  }
}

/** Files below `directory` by their paths in it. */
export async function writeInputs(directory: string, files: ReadonlyMap<string, Secret>): Promise<void> {
  for (const [name, value] of files) {
    await mkdir(dirname(join(directory, name)), { recursive: true, mode: 0o700 });
    await writeFile(join(directory, name), value.reveal(), { mode: 0o400, flag: 'wx' });
  }
}

/**
 * What a program left in `directory`: exactly the declared files. Nothing else is opened, and nothing of a
 * name that was not declared is told, since a program may have put a value there. Throws generate_failed.
 */
export async function readOutputs(directory: string, files: readonly GeneratorFile[]): Promise<ReadonlyMap<string, Secret>> {
  const declared = files.map(({ name }) => name);
  const found = await readdir(directory).catch(() => {
    throw fail('generate_failed', 'its program removed $out');
  });
  const undeclared = found.filter((name) => !declared.includes(name)).length;
  if (undeclared > 0) {
    throw fail('generate_failed', `its program left ${undeclared} ${undeclared === 1 ? 'file' : 'files'} in $out that it does not declare`, `its files are ${declared.join(', ')}`);
  }
  const missing = declared.filter((name) => !found.includes(name));
  if (missing.length > 0) throw fail('generate_failed', `its program made no ${missing.join(', no ')}`, `expected in $out: ${declared.join(', ')}`);
  const values = new Map<string, Secret>();
  for (const name of declared) values.set(name, await readOutput(join(directory, name), name));
  return values;
}

/** One value that a program wrote. Throws generate_failed. */
export async function readOutput(path: string, name: string): Promise<Secret> {
  const stats = await lstat(path);
  if (!stats.isFile()) {
    const kind = stats.isSymbolicLink() ? 'a symbolic link' : stats.isDirectory() ? 'a directory' : 'no regular file';
    throw fail('generate_failed', `its program made of ${name} ${kind}, expected a file`);
  }
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw fail('generate_failed', `${name}, which its program made, can't be read: ${error.code}`);
  });
  try {
    const { size } = await handle.stat();
    if (size === 0) throw fail('generate_failed', `its program made ${name} empty`);
    if (size > SECRET_MAX_BYTES) throw fail('generate_failed', `its program made ${name} of ${size} bytes; a value has at most ${SECRET_MAX_BYTES}`);
    return new Secret(await handle.readFile());
  } finally {
    await handle.close();
  }
}

/** Of processes that were killed. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^generate-([1-9][0-9]{0,9})-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeTree(join(parent, name));
  }
}

/** Also directories that a program closed to its own user. */
async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(async () => {
    await openTree(path);
    await rm(path, { recursive: true, force: true });
  });
}

async function openTree(path: string): Promise<void> {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openTree(join(path, entry.name));
  }
}
