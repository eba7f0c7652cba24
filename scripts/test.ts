// `npm test`: every test but the long ones; `--long`: those. Arguments limit it to what lies below these
// paths of test/: `npm test -- store vm/page`. `npm run test:long -- --docs` puts what it came to into docs/testing.md.
import { existsSync, globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../src/api/version.ts';
import { fail } from '../src/errors/slicer-error.ts';
import { CHECKOUT } from './build-steps.ts';
import { LongResults } from './long-docs.ts';
import { runScript } from './stage.ts';
import { runTests } from './test-run.ts';

const LONG = 'test/long/';
/** Tests that boot VMs take the whole machine: one file at a time, after all others. */
const WITH_VMS = ['test/vm/', 'test/vm-real/', 'test/vm-unit/', 'test/image/tiny.test.ts', 'test/image/debian.test.ts', LONG];
/** Boots a machine in which VMs boot. */
const NESTED_LAB = 'test/lab/lab.test.ts';
const FILE_TIMEOUT_MS = 6 * 60 * 1000;
const NESTED_LAB_TIMEOUT_MS = 4 * FILE_TIMEOUT_MS;
const LONG_FILE_TIMEOUT_MS = 10 * FILE_TIMEOUT_MS;

runScript(async () => {
  process.chdir(CHECKOUT);
  const { values: { long, docs }, positionals } = commandLine();
  if (docs && (!long || positionals.length > 0)) throw fail('usage', 'only a whole run of the long tests has a place in the docs', 'npm run test:long -- --docs');
  const wanted = positionals.map((path) => join('test', path.replace(/^test\//, '')));
  for (const path of wanted) {
    if (!existsSync(path)) throw fail('usage', `there is no ${path}`, `ls test`);
  }
  const files = globSync('test/**/*.test.ts')
    .filter((file) => file.startsWith(LONG) === long)
    .filter((file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)))
    .sort();
  const withVms = files.filter((file) => WITH_VMS.some((folder) => file.startsWith(folder)));
  const nestedLab = files.filter((file): boolean => file === NESTED_LAB);
  const others = files.filter((file) => !withVms.includes(file) && !nestedLab.includes(file));
  const results = new LongResults();
  const passed = await runTests(
    [
      { files: others, concurrency: availableParallelism() },
      ...withVms.map((file) => ({ files: [file], concurrency: 1 })),
      { files: nestedLab, concurrency: 1, fileTimeoutMs: NESTED_LAB_TIMEOUT_MS },
    ],
    long ? LONG_FILE_TIMEOUT_MS : FILE_TIMEOUT_MS,
    process.stdout,
    results.observe,
  );
  if (docs) results.writeDocs(`version ${VERSION}`);
  if (!passed) process.exitCode = 1;
});

function commandLine() {
  try {
    return parseArgs({ options: { long: { type: 'boolean', default: false }, docs: { type: 'boolean', default: false } }, allowPositionals: true });
  } catch (error) {
    throw fail('usage', (error as Error).message, 'npm test -- store vm/page');
  }
}
