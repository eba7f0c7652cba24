// The matrix of real VMMs: all tests of test/vm-real, in the nested lab. A machine with KVM has them in `npm test`.
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { assertLabPasses } from '../lab/assert-lab.ts';
import { BROUGHT_VMMS, findVmms, labObstacle } from '../lab/lab.ts';

const TEST_LIMIT_MS = 10 * 60 * 1000;
const LIMIT_MS = 58 * 60 * 1000;

const vmms = findVmms({}, process.env);
const missing = BROUGHT_VMMS.filter((name) => vmms[name] === undefined);
const skip = await labObstacle();

/** The files of `run` have all VMMs that there are. */
for (const name of ['qemu', ...BROUGHT_VMMS, 'run']) {
  const isMissing = missing.some((each) => each === name) && `${name} is not on the PATH: npm run test:lab -- --${name}=PATH`;
  test(`what is said of real VMMs holds in an emulated machine with KVM: ${name}`, { skip: skip || isMissing }, (t) =>
    assertLabPasses(t, { vmms, testFiles: globSync(`test/vm-real/${name}*.test.ts`).sort(), testLimitMs: TEST_LIMIT_MS, limitMs: LIMIT_MS }));
}
