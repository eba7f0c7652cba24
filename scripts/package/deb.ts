// A Debian package of the tree. dpkg-deb is on every Debian, and needs nothing that compiles.
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { run } from '../../image/command.ts';
import { PACKAGE_ARCHS, type PackageArch } from './node-program.ts';
import { debianVersion, MAINTAINER } from './documents.ts';
import type { PackageSource } from './source.ts';

/**
 * The oldest that the programs in the package run with. libc6, libgcc-s1 and libstdc++6: Node's newest symbols are
 * GLIBC_2.28, GCC_3.4 and CXXABI_1.3.11; util-linux has the flock(1), prlimit(1) and setpriv(1) that the daemon calls.
 */
const DEPENDS = 'libc6 (>= 2.28), libgcc-s1 (>= 3.4), libstdc++6 (>= 7), init-system-helpers (>= 1.52), util-linux (>= 2.38)';
/** To run VMs, and to make guest images out of Debian's packages. */
const RECOMMENDS = 'debian-archive-keyring, e2fsprogs, qemu-system-x86, xz-utils';

const SCRIPTS = ['postinst', 'postrm', 'prerm'];

export type Compression = 'xz' | 'none';

/** File name of the package. */
const debName = (version: string, arch: PackageArch): string => `slicer_${debianVersion(version)}_${PACKAGE_ARCHS[arch]}.deb`;

/** Makes a package of a tree, to which it adds what dpkg reads; path of the package in `directory`. */
export async function makeDeb(tree: string, directory: string, source: PackageSource, arch: PackageArch, compression: Compression): Promise<string> {
  const files = (await filesBelow(tree)).sort();
  const sums = await Promise.all(files.map(async (path) => `${createHash('md5').update(await readFile(join(tree, path))).digest('hex')}  ${path}\n`));
  const sizes = await Promise.all(files.map(async (path) => Math.ceil((await stat(join(tree, path))).size / 1024)));
  const texts: Record<string, string> = {
    control: control(source.version, arch, sizes.reduce((sum, size) => sum + size, 0)),
    md5sums: sums.join(''),
    conffiles: files.filter((path) => path.startsWith('etc/')).map((path) => `/${path}\n`).join(''),
  };
  for (const name of SCRIPTS) texts[name] = await readFile(join(source.checkout, 'packaging', name), 'utf8');

  const dpkgDirectory = join(tree, 'DEBIAN');
  await mkdir(dpkgDirectory);
  for (const [name, text] of Object.entries(texts)) {
    await writeFile(join(dpkgDirectory, name), text);
    await chmod(join(dpkgDirectory, name), SCRIPTS.includes(name) ? 0o755 : 0o644);
    await utimes(join(dpkgDirectory, name), source.timeS, source.timeS);
  }
  await chmod(dpkgDirectory, 0o755);
  await utimes(dpkgDirectory, source.timeS, source.timeS);
  await utimes(tree, source.timeS, source.timeS);
  const file = join(directory, debName(source.version, arch));
  // Threads make other blocks, and so other bytes.
  await run('dpkg-deb', ['--root-owner-group', '--threads-max=1', `-Z${compression}`, '--build', tree, file], { environment: { SOURCE_DATE_EPOCH: String(source.timeS) } });
  return file;
}

const control = (version: string, arch: PackageArch, sizeKib: number): string => `Package: slicer
Version: ${debianVersion(version)}
Architecture: ${PACKAGE_ARCHS[arch]}
Maintainer: ${MAINTAINER}
Installed-Size: ${sizeKib}
Depends: ${DEPENDS}
Recommends: ${RECOMMENDS}
Section: admin
Priority: optional
Description: gets secrets into microVMs
 Slicer keeps secrets on the host and gives each microVM only those it was
 granted: API keys, database passwords, TLS keys. They arrive as files with
 exact bytes, owner and mode, and change there within milliseconds when they
 change on the host.
 .
 This package has the daemon as a service, the command slicer, and the agents
 for guests of both architectures.
`;

async function filesBelow(tree: string): Promise<string[]> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(tree, join(entry.parentPath, entry.name)));
}
