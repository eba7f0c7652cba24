// `npm run test:lab -- [--cloud-hypervisor=PATH] [--firecracker=PATH] [NAME…]`: the tests of test/vm-real, or those
// whose file names begin with a NAME, on the real VMMs inside an emulated machine with a working KVM.
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { CHECKOUT } from '../../scripts/build-steps.ts';
import { beginStages, runScript } from '../../scripts/stage.ts';
import { fail } from '../../src/errors/slicer-error.ts';
import { findVmms, runLab } from './lab.ts';

const TEST_LIMIT_MS = 10 * 60 * 1000;
const LIMIT_MS = 60 * 60 * 1000;
/** A step that only finds its work done takes less. */
const SHOWN_FROM_MS = 1000;

runScript(async () => {
  process.chdir(CHECKOUT);
  const { given, names } = commandLine(process.argv.slice(2));
  const all = globSync('test/vm-real/*.test.ts').sort();
  const testFiles = names.length === 0 ? all : all.filter((file) => names.some((name) => basename(file).startsWith(name)));
  if (testFiles.length === 0) throw fail('usage', `no file of test/vm-real begins with ${names.join(' or ')}`, 'ls test/vm-real');
  const vmms = findVmms(given, process.env);

  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interrupted.abort(fail('launch_failed', `the nested lab was ended by ${signal}`)));
  }
  process.exitCode = await runLab({
    vmms, testFiles, testLimitMs: TEST_LIMIT_MS, limitMs: LIMIT_MS, output: process.stdout, signal: interrupted.signal,
    stages: beginStages({ shownFromMs: SHOWN_FROM_MS }),
  });
});

function commandLine(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { 'cloud-hypervisor': { type: 'string' }, firecracker: { type: 'string' } },
      allowPositionals: true,
    });
    return { given: values, names: positionals };
  } catch (error) {
    throw fail('usage', (error as Error).message);
  }
}
