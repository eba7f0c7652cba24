// Another VSOCK process for each that ends, at a pace; and none for a VM that ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { VsockKeeper } from '../../src/vm/vsock-keeper.ts';
import type { WatchedProcess } from '../../src/vm/watched-process.ts';
import type { ProcessPlan, VmmControl } from '../../src/vmm/contract.ts';

const PLAN: ProcessPlan = { role: 'vsock', program: '/bin/true', argv: [], descriptors: [], readySocket: '/nowhere', filtersStderr: false };
const PACE = { count: 2, withinMs: 2_000 };

/** A process of nobody's, which ends when it is told how. */
function process(role: 'vmm' | 'vsock'): { watched: WatchedProcess; end: (how: string) => void } {
  let end: (how: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => { end = resolve; });
  return { watched: { identity: { role, pid: 2 ** 30, start_time: 0 }, ended } as WatchedProcess, end };
}

function kept() {
  const [vmm, first] = [process('vmm'), process('vsock')];
  const started = [first];
  const told: string[] = [];
  const lost: string[] = [];
  let awaited: () => void = () => undefined;
  const keeper = new VsockKeeper({
    replacement: { plan: PLAN, replugs: false }, control: { close: () => undefined } as unknown as VmmControl, processes: [vmm.watched, first.watched],
    start: async () => {
      const next = process('vsock');
      started.push(next);
      awaited();
      return next.watched;
    },
    lost: (reason) => void lost.push(reason),
    tell: (what) => void told.push(what),
    pace: PACE,
  });
  const another = (): Promise<void> => new Promise((resolve) => { awaited = resolve; });
  const endLast = (): void => started.at(-1)?.end('was ended by SIGKILL');
  return { keeper, vmm, started, told, lost, another, endLast };
}

test('a VSOCK process that ends as others did shortly before is replaced too, later', async () => {
  const { started, told, lost, another, endLast, keeper } = kept();
  for (let round = 0; round < PACE.count; round += 1) {
    const next = another();
    endLast();
    await next;
    await turn();
  }
  assert.deepEqual(told.splice(0), Array(PACE.count).fill('was ended by SIGKILL; another has taken its place'));
  const next = another();
  endLast();
  await turn();
  assert.match(told.splice(0).join(), /^was ended by SIGKILL, as others did shortly before; the next takes its place in [12] s$/);
  assert.equal(started.length, 1 + PACE.count, 'none comes before its turn');
  await next;
  await turn();
  assert.deepEqual([told, lost], [['was ended by SIGKILL; another has taken its place'], []]);
  keeper.close();
});

test('a process that waits for its turn never comes to a VM that ends or is closed', async () => {
  const ends: readonly ((vm: ReturnType<typeof kept>) => void)[] = [({ vmm }) => vmm.end('exited'), ({ keeper }) => keeper.close()];
  await Promise.all(ends.map(async (end) => {
    const vm = kept();
    for (let round = 0; round < PACE.count; round += 1) {
      const next = vm.another();
      vm.endLast();
      await next;
      await turn();
    }
    vm.endLast();
    await turn();
    end(vm);
    await delay(PACE.withinMs + 500);
    assert.deepEqual([vm.started.length, vm.lost], [1 + PACE.count, []]);
    vm.keeper.close();
  }));
});
