import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Snapshot } from '../../src/store/contract.ts';
import { Ledger } from '../../src/store/ledger.ts';
import { name, secret } from './store-fixture.ts';

const content = { value: secret('v'), attributes: { mode: 0o600, uid: 0, gid: 0 }, modifiedAtMs: 0 };
const step = fc.record({
  kind: fc.constantFrom('put', 'remove', 'commit'),
  name: fc.constantFrom('a', 'b', 'c').map(name),
});

test('no version is given twice, and a later one is always higher', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const ledger = new Ledger('0123456789abcdef');
    const versions: number[] = [];
    for (const { kind, name: which } of steps) {
      if (kind === 'put') versions.push(ledger.put(which, content).version);
      if (kind === 'remove') ledger.remove(which);
      if (kind === 'commit') ledger.commit();
    }
    assert.deepEqual(versions, [...new Set(versions)].sort((a, b) => a - b));
  }));
});

test('a name is in the secrets or in the removed ones, never in both, with a number up to the counter', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const ledger = new Ledger('0123456789abcdef');
    const everPut = new Set<string>();
    for (const { kind, name: which } of steps) {
      if (kind === 'put') {
        ledger.put(which, content);
        everPut.add(which);
      }
      if (kind === 'remove') ledger.remove(which);
    }
    ledger.commit();
    const { secrets, removed, counter } = ledger.snapshot;
    assert.deepEqual([...secrets.keys(), ...removed.keys()].sort(), [...everPut].sort());
    const numbers = [...[...secrets.values()].map((held) => held.version), ...removed.values()];
    assert.equal(Math.max(0, ...numbers), counter);
  }));
});

test('a snapshot never changes after it was made', () => {
  const ledger = new Ledger('0123456789abcdef');
  const states: [Snapshot, string][] = [];
  const shown = (snapshot: Snapshot): string => JSON.stringify([snapshot, [...snapshot.secrets], [...snapshot.removed]]);
  const keep = (): void => {
    ledger.commit();
    states.push([ledger.snapshot, shown(ledger.snapshot)]);
  };
  ledger.put(name('a'), content);
  keep();
  ledger.remove(name('a'));
  keep();
  ledger.put(name('a'), content);
  ledger.skip('x~', 'why');
  keep();
  ledger.touch(name('a'), 7);
  ledger.setProblem('gone');
  keep();
  for (const [snapshot, before] of states) assert.equal(shown(snapshot), before);
});

test('nothing changed makes no snapshot', () => {
  const ledger = new Ledger('0123456789abcdef');
  assert.equal(ledger.commit(), undefined);
  ledger.put(name('a'), content);
  assert.notEqual(ledger.commit(), undefined);
  ledger.touch(name('a'), content.modifiedAtMs);
  ledger.remove(name('b'));
  ledger.skip('c', undefined);
  ledger.setProblem(undefined);
  assert.equal(ledger.commit(), undefined);
});
