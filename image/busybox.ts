// busybox, one static program that is most of the tiny image's user land: Debian's, as its package has it.
import { chmod, copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from './archive.ts';
import { ensureEntry, findEntry } from './cache.ts';
import { run } from './command.ts';

const SUITE = 'trixie';
const PACKAGE = 'busybox-static';

export interface Busybox {
  /** Where it is in the cache. */
  readonly directory: string;
  readonly program: Uint8Array;
  readonly applets: readonly string[];
}

const INPUTS = [SUITE, PACKAGE];

/** busybox for the guest, if it was fetched before. */
export async function findBusybox(): Promise<Busybox | undefined> {
  const entry = findEntry('busybox', INPUTS);
  return entry === undefined ? undefined : inEntry(entry);
}

/** busybox for the guest, fetched (1 MB) if it wasn't before. */
export async function ensureBusybox(): Promise<Busybox> {
  const entry = await ensureEntry('busybox', INPUTS, async (directory) => {
    const archive = await openArchive(SUITE, GUEST_ARCH);
    const unpacked = join(directory, 'package');
    await unpackPackage(await archive.fetchPackage(PACKAGE, directory), unpacked);
    const program = join(directory, 'busybox');
    await copyFile(join(unpacked, 'usr/bin/busybox'), program);
    await chmod(program, 0o755);
    await writeFile(join(directory, 'applets'), await run(program, ['--list']));
    const rest = (await readdir(directory)).filter((name) => name !== 'busybox' && name !== 'applets');
    await Promise.all(rest.map((name) => rm(join(directory, name), { recursive: true })));
  });
  return inEntry(entry);
}

async function inEntry(entry: string): Promise<Busybox> {
  const [program, applets] = await Promise.all([
    readFile(join(entry, 'busybox')),
    readFile(join(entry, 'applets'), 'utf8'),
  ]);
  return { directory: entry, program, applets: applets.trim().split('\n') };
}
