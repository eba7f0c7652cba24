// A Debian package as `npm run package` makes it, of what is built now, but not compressed, which takes minutes.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleCli } from '../../scripts/bundle-cli.ts';
import { makeDeb } from '../../scripts/package/deb.ts';
import { ensureNode } from '../../scripts/package/node-program.ts';
import { packageSource } from '../../scripts/package/source.ts';
import type { PackageSource } from '../../scripts/package/source.ts';
import { layOut } from '../../scripts/package/tree.ts';

export const CHECKOUT = join(import.meta.dirname, '../..');

/** Path of a package in `directory`. */
export async function makePackage(directory: string, changes: Partial<PackageSource> = {}): Promise<string> {
  const tree = mkdtempSync(join(directory, 'tree-'));
  const source = { ...await packageSource(CHECKOUT), ...changes };
  await layOut(tree, source, await ensureNode('x64', CHECKOUT));
  const file = await makeDeb(tree, directory, source, 'x64', 'none');
  rmSync(tree, { recursive: true });
  return file;
}

/** Path of a package of these sources that believes itself to be of another version. */
export async function makePackageOfVersion(directory: string, version: string): Promise<string> {
  const sources = mkdtempSync(join(directory, 'sources-'));
  for (const name of ['src', 'image', 'agent', 'build', 'tsconfig.json']) cpSync(join(CHECKOUT, name), join(sources, name), { recursive: true, filter: (path) => !/\/build\/(\.|compiled)/.test(path) });
  symlinkSync(join(CHECKOUT, 'node_modules'), join(sources, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(sources, 'package.json'), JSON.stringify({ ...manifest, version }));
  await bundleCli(sources, join(sources, 'build'), 'unknown');
  const file = await makePackage(directory, { build: join(sources, 'build'), version });
  rmSync(sources, { recursive: true });
  return file;
}

/** What the package installs, below a directory of its own; without dpkg's scripts, and not as root. */
export function unpack(file: string, directory: string): string {
  const root = join(directory, 'root');
  mkdirSync(root);
  execFileSync('dpkg-deb', ['-x', file, root]);
  return root;
}

export const scratchDirectory = (): string => mkdtempSync(join(tmpdir(), 'slicer-package-'));
