import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tscKhzOf } from '../../src/vmm/time-stamp-counter.ts';

const table: [string, string, number | undefined][] = [
  ['is the nominal one of its name', 'model name\t: A CPU @ 2.30GHz\ncpu MHz\t\t: 3400.123\n', 2_300_000],
  ['is the current one where the name has none', 'model name\t: AMD EPYC 7B13\ncpu MHz\t\t: 2449.998\n', 2_449_998],
  ['is not known on a machine that has no such counter', 'processor\t: 0\nBogoMIPS\t: 50.00\n', undefined],
];
for (const [name, cpuinfo, expected] of table) {
  test(`the rate of the time-stamp counter ${name}`, () => assert.equal(tscKhzOf(cpuinfo), expected));
}
