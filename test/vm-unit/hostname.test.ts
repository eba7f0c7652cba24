import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHostname, nextHostname, sortedByHostname } from '../../src/vm/hostname.ts';

test('a host name is one DNS label in lower case', () => {
  for (const good of ['web-1', 'a', '0', 'x'.repeat(63)]) assert.ok(isHostname(good), good);
  for (const bad of ['', '-a', 'a-', 'A', 'a.b', 'a/b', '..', 'a\n', '.coming-a', 'x'.repeat(64)]) assert.ok(!isHostname(bad), bad);
});

const next: [string, string[], string][] = [
  ['the first is 1', [], 'web-1'],
  ['numbers grow past the highest, gaps or not', ['web-1', 'web-7', 'web-3'], 'web-8'],
  ['numbers are numbers', ['web-9', 'web-10'], 'web-11'],
  ['other groups do not count, nor do groups that begin alike', ['db-4', 'web-a-9', 'webb-2', 'web'], 'web-1'],
  ['what no launch made does not count', ['web-007', 'web-0', 'web-x'], 'web-1'],
];
for (const [name, taken, expected] of next) {
  test(`the next host name of a group: ${name}`, () => assert.equal(nextHostname('web', taken), expected));
}

test('VMs are listed by group and then by number', () => {
  const sorted = sortedByHostname(['web-10', 'db', 'web-9', 'a-b-2', 'a-b-1', 'web-1'].map((hostname) => ({ hostname })));
  assert.deepEqual(sorted.map(({ hostname }) => hostname), ['a-b-1', 'a-b-2', 'db', 'web-1', 'web-9', 'web-10']);
});
