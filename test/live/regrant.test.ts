// A VM that is let go and served again with another grant, by the same daemon: what its agent says that it holds is
// of the old grant.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLiveVm } from '../../src/live/live-vm.ts';
import type { Grant } from '../../src/secret/grant.ts';
import { bench, dependencies } from './live-vm.ts';
import { secretName } from './memory-store.ts';

const [a, b] = [secretName('a'), secretName('b')];
const regrants: readonly [string, Grant, Grant, string[]][] = [
  ['loses what was taken from it', [a, b], [b], ['b']],
  ['gets what was added to it', [b], [a, b], ['a', 'b']],
  ['loses all but what it may have', 'all', [b], ['b']],
];
for (const [what, first, second, expected] of regrants) {
  test(`a VM that is attached again with another grant ${what}`, async (t) => {
    const { store, agent, vm, vsockPath } = await bench(t, { grant: first });
    store.set('a', '1');
    store.set('b', '2');
    await agent.establish();
    await agent.sync();
    agent.close();
    await vm.close();
    const again = await startLiveVm(store, { hostname: 'web-1', vsockPath, grant: second }, dependencies());
    t.after(() => again.close());
    await agent.establish();
    assert.equal(await agent.sync(), 200);
    assert.deepEqual([...agent.held.keys()], expected);
  });
}
