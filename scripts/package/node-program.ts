// The Node that a package brings along: the pinned one of this checkout, for this machine's architecture as npm
// installed it, for another as npm fetches it, with the digest that package-lock.json has of it.
import { readFile, readdir } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureEntry } from '../../image/cache.ts';
import { run } from '../../image/command.ts';
import { fail } from '../../src/errors/slicer-error.ts';
import type { NodeProgram } from './tree.ts';

/** As Node names architectures, and as Debian does. */
export const PACKAGE_ARCHS = { x64: 'amd64', arm64: 'arm64' } as const;
export type PackageArch = keyof typeof PACKAGE_ARCHS;

/** Throws missing_part, build_failed. */
export async function ensureNode(arch: PackageArch, checkout: string): Promise<NodeProgram> {
  const name = `node-linux-${arch}`;
  const installed = join(checkout, 'node_modules', name);
  if (existsSync(join(installed, 'bin/node'))) return inPackage(installed);
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')) as { packages: Record<string, { version: string; integrity: string }> };
  const pinned = lock.packages[`node_modules/${name}`];
  if (pinned === undefined) throw fail('missing_part', `package-lock.json has no ${name}`, 'npm install');
  const entry = await ensureEntry(name, [pinned.integrity], async (directory) => {
    await run('npm', ['pack', '--silent', `${name}@${pinned.version}`, `--pack-destination=${directory}`]);
    const file = (await readdir(directory)).find((each) => each.endsWith('.tgz'));
    if (file === undefined) throw fail('build_failed', `npm fetched no ${name}`);
    const actual = `sha512-${createHash('sha512').update(await readFile(join(directory, file))).digest('base64')}`;
    if (actual !== pinned.integrity) throw fail('build_failed', `${name} ${pinned.version} is not what package-lock.json has: ${actual}`);
    await run('tar', ['-xzf', join(directory, file), '-C', directory, 'package/bin/node', 'package/LICENSE']);
    await run('rm', [join(directory, file)]);
  });
  return inPackage(join(entry, 'package'));
}

const inPackage = (directory: string): NodeProgram => ({ program: join(directory, 'bin/node'), license: join(directory, 'LICENSE') });
