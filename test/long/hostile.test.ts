// The whole of what a hostile guest can do, at full size, as an ordinary user and as root; test/vm/hostile.test.ts
// has the short form. Prints what each attack cost the daemon.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { costText, lyingAgents, withHostileGuest, type Cost } from '../vm/hostile-guest.ts';

const { skip, guest } = withHostileGuest();
const costs: Cost[] = [];

function told(t: TestContext, cost: Cost): Cost {
  t.diagnostic(costText(cost));
  costs.push(cost);
  return cost;
}

for (const uid of [1000, 0]) {
  for (const words of [
    ['connections', '10000', '60000'], ['heads', '100000000', '600000'], ['bodies', '100000000', '600000'], ['slow-write', '1000', '20000'], ['slow-read', '1000', '20000'],
    ['pipeline', '1000', '20000'], ['half-close', '2000', '10000'], ['churn', '5000', '60000'], ['keys', '5000', '300000'], ['hellos', '5000', '300000'],
  ]) {
    test(`${words[0]} of user ${uid}, ${words[1]} of them, are bounded on the host, and a neighbour gets its changes`, { skip }, async (t) => {
      const cost = told(t, await guest().attack(words, uid));
      assert.ok(Number(/ (\d+)/.exec(cost.said)?.[1]) >= Number(words[1]), `the attacker did less than it was told: ${cost.said}`);
      await guest().untilWell();
    });
  }
}

for (const words of [['reports', '5000', '15000'], ['secrets', '1000', '15000'], ['polls', '1000', '15000'], ['requests', '100000', '10000'], ['sessions', '1000', '10000']]) {
  test(`${words[0]} of root in the agent's place are bounded on the host, and a neighbour gets its changes`, { skip }, async (t) => {
    told(t, await guest().attackAsAgent(words));
    await guest().untilWell();
  });
}

for (const lie of ['endless-output', 'huge-frame', 'frames-out-of-order', 'started-again', 'empty-frames', 'silence', 'trickle', 'endless-head', 'huge-answer', 'escapes']) {
  for (const [what, call] of Object.entries(lyingAgents)) {
    if (what !== 'bufferedCommand' && ['endless-output', 'empty-frames'].includes(lie)) continue;
    test(`an agent that lies (${lie}) to a ${what} is answered with an error, and bounded on the host`, { skip }, async (t) => {
      await guest().untilWell();
      told(t, await guest().attackAsAgent([lie, '1', '12000'], call));
    });
  }
}

test('when the agent is back in its place all is well again', { skip }, async (t) => {
  await guest().untilWell();
  const most = (of: (cost: Cost) => number): number => Math.max(...costs.map(of));
  t.diagnostic(`in all: at most ${Math.round(most((cost) => cost.peakMemoryBytes) / 1e6)} MB and ${most((cost) => cost.descriptors)} descriptors in the daemon; the neighbour had ${costs.reduce((sum, { changes }) => sum + changes, 0)} changes`);
});
