// Where the files are that come with Slicer: beside the program that runs when that is a bundle, below the
// package's root when it is a source or a test of a checkout.
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** One file in its two places: beside a bundle, and relative to the package's root. */
export interface InstalledFile {
  readonly besideBundle: string;
  readonly belowRoot: string;
}

/** Path of a file that comes with Slicer, if it is there. `program` is the path of the running program. */
export function findInstalled(file: InstalledFile, program = process.argv[1]): string | undefined {
  if (program === undefined || !existsSync(program)) return undefined;
  const start = dirname(realpathSync(program));
  const root = packageRoot(start);
  const candidates = [join(start, file.besideBundle), ...(root === undefined ? [] : [join(root, file.belowRoot)])];
  return candidates.find((path) => existsSync(path));
}

/** Whether the program that runs was installed for the whole machine: as a package, or in its stead. */
export function isInstalledForAll(program = process.argv[1]): boolean {
  return program !== undefined && existsSync(program) && realpathSync(program).startsWith('/usr/');
}

/** The nearest directory upwards that is this package's: a file further up is somebody else's. */
function packageRoot(start: string): string | undefined {
  for (let directory = start; ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json');
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name === 'slicer') return directory;
    if (directory === dirname(directory)) return undefined;
  }
}
