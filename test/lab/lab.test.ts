// One boot of the nested lab, so that what needs KVM is tested on a machine that has none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { assertLabPasses } from './assert-lab.ts';
import { BROUGHT_VMMS, findVmms, labObstacle } from './lab.ts';

const TEST_LIMIT_MS = 5 * 60 * 1000;
const LIMIT_MS = 22 * 60 * 1000;

const vmms = findVmms({}, process.env);

/** One file for each VMM there is: `npm run test:long -- long/real-vmms` runs the others, too. */
const TEST_FILES = ['qemu-kernel-vsock', ...BROUGHT_VMMS.filter((name) => vmms[name] !== undefined)]
  .map((name) => `test/vm-real/${name}.test.ts`);

const skip = await labObstacle();

test('VMs run on real VMMs in an emulated machine with KVM', { skip }, (t) =>
  assertLabPasses(t, { vmms, testFiles: TEST_FILES, testLimitMs: TEST_LIMIT_MS, limitMs: LIMIT_MS }));

for (const name of BROUGHT_VMMS.filter((each) => vmms[each] === undefined)) {
  test(`VMs run on ${name}`, { skip: `${name} is not on the PATH: npm run test:lab -- --${name}=PATH` });
}

test('a path that names no program is refused before anything starts', () => {
  for (const path of ['/nowhere/firecracker', 'nowhere', '/', '/tmp']) {
    assert.throws(() => findVmms({ firecracker: path }, {}), (error) =>
      error instanceof SlicerError && error.message.includes(`there is no firecracker at ${path}`), path);
  }
});
