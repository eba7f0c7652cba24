// rust-vmm's vhost-device-vsock: a VM's VSOCK device as a process of its own, so that the host's kernel
// needs to support nothing. It comes from PATH, from Debian's archive (signed), or from crates.
import { chmod, copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hostArch, openArchive, unpackPackage } from './archive.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { findCommand, run } from './command.ts';
import { fail, SlicerError } from '../src/errors/slicer-error.ts';

const NAME = 'vhost-device-vsock';
/** Debian stable has no such package yet; this one needs nothing but glibc 2.34. */
const SUITE = 'sid';
const HINT = `cargo install --locked ${NAME}, or put ${NAME} 0.3.0 or newer on PATH`;

const inputs = (): string[] => [SUITE, NAME, process.arch];

/** Path of vhost-device-vsock, if it is on PATH or was fetched before. Throws missing_part if not. */
export function findVhostDeviceVsock(): string {
  const installed = findCommand(NAME);
  if (installed !== undefined) return installed;
  const entry = findEntry(NAME, inputs());
  if (entry === undefined) throw fail('missing_part', `${NAME} is neither on PATH nor fetched`, 'slicer image build');
  return join(entry, NAME);
}

/** Path of vhost-device-vsock, fetched (1 MB), or else built with cargo, if it wasn't before. */
export async function ensureVhostDeviceVsock(): Promise<string> {
  const installed = findCommand(NAME);
  if (installed !== undefined) return installed;
  const entry = await ensureEntry(NAME, inputs(), async (directory) => {
    const target = join(directory, NAME);
    const problem = await fetchPackage(directory, target).then(() => undefined, (error: unknown) => error);
    if (problem !== undefined) await buildCrate(directory, target, problem);
    await chmod(target, 0o755);
    // A program that this machine can't run must not stay in the cache.
    await run(target, ['--version']);
  });
  return join(entry, NAME);
}

async function fetchPackage(directory: string, target: string): Promise<void> {
  const archive = await openArchive(SUITE, await hostArch());
  const unpacked = join(directory, 'package');
  const file = await archive.fetchPackage(NAME, directory);
  await unpackPackage(file, unpacked);
  await copyFile(join(unpacked, 'usr/bin', NAME), target);
  await Promise.all([rm(file), rm(unpacked, { recursive: true })]);
}

async function buildCrate(directory: string, target: string, problem: unknown): Promise<void> {
  if (findCommand('cargo') === undefined) {
    const why = problem instanceof SlicerError ? problem.message : String(problem);
    throw fail('missing_part', `${NAME} could not be fetched from Debian ${SUITE}: ${why}`, HINT);
  }
  const root = join(directory, 'cargo');
  await run('cargo', ['install', '--locked', '--quiet', '--root', root, NAME]);
  await copyFile(join(root, 'bin', NAME), target);
  await rm(root, { recursive: true });
}
