// An agent that says nothing after the answer to its poll: a device may have lost what either side said.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence } from '../../src/live/silence.ts';
import { bench } from './live-vm.ts';

test('an agent that says nothing after the answer to its poll is dialled again and again, and loses no session by it', async (t) => {
  const { store, agent, vm } = await bench(t, { limits: { silenceMs: 20, silenceMaxMs: 40 } });
  store.set('a', '1');
  await agent.establish();
  const key = agent.sessionKey;
  await agent.sync(true);
  for (let time = 0; time < 3; time += 1) await agent.saw('POST /v1/challenge');
  store.set('a', '2');
  assert.equal(await agent.sync(true), 226);
  assert.equal(agent.sessionKey, key);
  assert.deepEqual(vm.status().errors, []);
});

test('silence is looked into after 5 and 10 s, then every 20 s, and from 5 s on again once something was heard', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const looked: number[] = [];
  let second = 0;
  const silence = new Silence({ silenceMs: 5_000, silenceMaxMs: 20_000 }, () => looked.push(second));
  const pass = (seconds: number): void => {
    for (const end = second + seconds; second < end;) {
      second += 1;
      t.mock.timers.tick(1_000);
    }
  };
  silence.begin();
  pass(60);
  silence.end();
  pass(60);
  silence.begin();
  pass(5);
  silence.end();
  assert.deepEqual(looked, [5, 15, 35, 55, 125]);
});
