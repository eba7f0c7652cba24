import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { Deliveries } from '../../src/live/deliveries.ts';
import { scopeOf } from '../../src/live/scope.ts';
import { viewOf, type View } from '../../src/live/view.ts';
import { DEFAULT_ATTRIBUTES } from '../../src/secret/file-attributes.ts';
import { Secret } from '../../src/secret/secret.ts';
import type { StoredSecret } from '../../src/store/contract.ts';
import { secretName } from './memory-store.ts';

const VMS = 300;
const CHANGES = 1_000;
const VM_MAX_BYTES = 10_000;

const stored = (name: string, version: number): StoredSecret =>
  ({ name: secretName(name), value: new Secret(Buffer.from('value')), attributes: DEFAULT_ATTRIBUTES, modifiedAtMs: 0, version });

function viewWith(versions: ReadonlyMap<string, number>): View {
  const secrets = new Map([...versions].map(([name, version]) => [secretName(name), stored(name, version)]));
  return viewOf({ counter: Math.max(0, ...versions.values()), secrets, removed: new Map() }, scopeOf('all', []));
}

/** What objects take now, compiled code left out. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('a VM that has confirmed thousands of changes takes no more memory than one that has confirmed a few', () => {
  const view = viewWith(new Map([['a', 1], ['b', CHANGES]]));
  const all: Deliveries[] = [];
  const before = heapBytes();
  for (let vm = 0; vm < VMS; vm += 1) {
    const deliveries = new Deliveries();
    for (let version = 1; version <= CHANGES; version += 1) deliveries.acknowledge(version, view, version + 0.5);
    all.push(deliveries);
  }
  const each = (heapBytes() - before) / VMS;
  assert.ok(each < VM_MAX_BYTES, `${each.toFixed(0)} bytes each`);
  assert.deepEqual(all.at(-1)?.status(view).deliveries.map(({ sinceMs }) => sinceMs), [1.5, CHANGES + 0.5]);
});

test('since when a secret is current is the time at which its last change was confirmed first, however many others came since', () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 99 }), { minLength: 1, maxLength: 600 }), (changed) => {
    const deliveries = new Deliveries();
    const versions = new Map<string, number>();
    changed.forEach((number, index) => {
      versions.set(`s${number}`, index + 1);
      deliveries.acknowledge(index + 1, viewWith(versions), 1_000 + index + 1);
    });
    for (const { name, sinceMs } of deliveries.status(viewWith(versions)).deliveries) assert.equal(sinceMs, 1_000 + (versions.get(name) as number));
  }), { numRuns: 20 });
});
