// The npm package `slicer`: the client of the REST API as one ES module, with its types and no dependencies.
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { run } from '../../image/command.ts';
import { clientTypes } from './client-types.ts';
import type { PackageSource } from './source.ts';

/** Makes the package; its path in `directory`. */
export async function makeClientPackage({ checkout, build: built, version }: PackageSource, directory: string): Promise<string> {
  // In the checkout, where the compiler finds the types of Node.
  const scratch = await mkdtemp(join(built, '.client-'));
  try {
    const root = join(scratch, 'package');
    await mkdir(root);
    await build({
      absWorkingDir: checkout, entryPoints: ['src/client/sdk.ts'], outfile: join(root, 'index.js'),
      bundle: true, platform: 'node', target: 'node20.12', format: 'esm', legalComments: 'none', logLevel: 'warning',
    });
    for (const [path, text] of await clientTypes(checkout, scratch)) {
      await mkdir(dirname(join(root, 'types', path)), { recursive: true });
      await writeFile(join(root, 'types', path), text);
    }
    await copyFile(join(checkout, 'docs/client.md'), join(root, 'README.md'));
    await writeFile(join(root, 'package.json'), `${JSON.stringify(manifest(version), undefined, 2)}\n`);
    await run('npm', ['pack', '--silent', `--pack-destination=${directory}`], { cwd: root });
    return join(directory, `slicer-${version}.tgz`);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

const manifest = (version: string) => ({
  name: 'slicer',
  version,
  description: 'The client of Slicer, which gets secrets into microVMs',
  type: 'module',
  engines: { node: '>=20.12' },
  exports: { '.': { types: './types/client/sdk.d.ts', default: './index.js' } },
  files: ['index.js', 'types'],
});
