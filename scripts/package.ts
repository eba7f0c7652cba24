// `npm run package`: what users install, in dist/. A Debian package and a tar archive of the same tree for each
// architecture, and the npm package of the client. `--arch=x64` makes those of one architecture alone.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { temporaryDirectory } from '../image/cache.ts';
import { ensureMachine } from '../image/machine.ts';
import { fail } from '../src/errors/slicer-error.ts';
import { buildAgents, buildBundle, CHECKOUT } from './build-steps.ts';
import { makeDeb } from './package/deb.ts';
import { makeClientPackage } from './package/npm-client.ts';
import { ensureNode, PACKAGE_ARCHS, type PackageArch } from './package/node-program.ts';
import { packageSource, type PackageSource } from './package/source.ts';
import { makeTarball } from './package/tarball.ts';
import { layOut } from './package/tree.ts';
import { allSteps, beginStages, runScript, type Stages } from './stage.ts';

const DIST = join(CHECKOUT, 'dist');

runScript(async () => {
  const archs = chosenArchs(process.argv.slice(2));
  const stages = beginStages();
  await stages.run('packages of this machine', (say) => ensureMachine(['build'], say));
  await allSteps([stages.run('bundle', buildBundle), buildAgents(stages)]);
  const source = await packageSource(CHECKOUT);
  await mkdir(DIST, { recursive: true });
  const files = [];
  for (const arch of archs) files.push(...await packagesOf(arch, source, stages));
  files.push(await stages.run('npm package', () => makeClientPackage(source, DIST)));
  process.stdout.write(files.map((file) => `${file}\n`).join(''));
});

async function packagesOf(arch: PackageArch, source: PackageSource, stages: Stages): Promise<string[]> {
  const node = await stages.run(`node for ${arch}`, () => ensureNode(arch, CHECKOUT));
  const directory = await temporaryDirectory('package');
  // Within it, since what is in a package is as old as its commit: a temporary directory as old as that would be taken for abandoned.
  const tree = join(directory, 'tree');
  try {
    await mkdir(tree, { mode: 0o755 });
    await layOut(tree, source, node);
    const tarball = await stages.run(`tar archive for ${arch}`, () => makeTarball(tree, DIST, source, arch));
    const deb = await stages.run(`Debian package for ${arch}`, () => makeDeb(tree, DIST, source, arch, 'xz'));
    return [deb, tarball];
  } finally {
    await rm(directory, { recursive: true });
  }
}

function chosenArchs(args: readonly string[]): readonly PackageArch[] {
  const all = Object.keys(PACKAGE_ARCHS) as PackageArch[];
  const { values } = parseArgs({ args: [...args], options: { arch: { type: 'string', multiple: true } } });
  const unknown = values.arch?.find((arch) => !(arch in PACKAGE_ARCHS));
  if (unknown !== undefined) throw fail('usage', `there is no package for "${unknown}"`, `npm run package -- --arch=${all.join(' --arch=')}`);
  return values.arch === undefined ? all : all.filter((arch) => values.arch?.includes(arch));
}
