// `npm run test:nix -- --nixpkgs-lib=DIR [--microvm-nix=DIR] [--clan-core=DIR]`: the tests of nix/ with what
// they are for in the place of what stands for it. Each is a checkout; nixpkgs' may be of its `lib` alone.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fail } from '../../src/errors/slicer-error.ts';
import { runScript } from '../../scripts/stage.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const USAGE = 'npm run test:nix -- --nixpkgs-lib=DIR --microvm-nix=DIR --clan-core=DIR';

/** A file that each has. */
const SOURCES = {
  'nixpkgs-lib': { variable: 'SLICER_TEST_NIXPKGS_LIB', folder: 'lib', file: 'modules.nix' },
  'microvm-nix': { variable: 'SLICER_TEST_MICROVM_NIX', folder: '.', file: 'nixos-modules/host/default.nix' },
  'clan-core': { variable: 'SLICER_TEST_CLAN_CORE', folder: '.', file: 'lib/evalService.nix' },
} as const;

runScript(async () => {
  const { values } = parseArgs({ options: { 'nixpkgs-lib': { type: 'string' }, 'microvm-nix': { type: 'string' }, 'clan-core': { type: 'string' } } });
  if (values['nixpkgs-lib'] === undefined) throw fail('usage', 'the other two need nixpkgs\' lib', USAGE);
  const environment: Record<string, string> = {};
  for (const [name, { variable, folder, file }] of Object.entries(SOURCES)) {
    const given = values[name as keyof typeof SOURCES];
    if (given === undefined) continue;
    const directory = resolve(given, folder);
    if (!existsSync(resolve(directory, file))) throw fail('usage', `${given} has no ${folder === '.' ? '' : `${folder}/`}${file}`, USAGE);
    environment[variable] = directory;
  }
  const { status } = spawnSync(process.execPath, ['--test', ...globSync('test/nix/*.test.ts', { cwd: ROOT })], { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...environment } });
  process.exitCode = status ?? 1;
});
