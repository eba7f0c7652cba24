import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { VERSION } from '../../src/api/version.ts';
import { HOST_PORT } from '../../src/wire/ports.ts';
import { name, rootOnly, startGuest, value } from './guest-fixture.ts';

/** One hello, as any process of the guest can send it; resolves with the status. */
function hello(vsockPath: string, agent: Agent): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ socketPath: `${vsockPath}_${HOST_PORT}`, method: 'POST', path: '/v1/hello', agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject).end();
  });
}

test('somebody who floods the host with hellos can\'t keep the agent from its session, nor take it away', async (context) => {
  const guest = await startGuest(context, { limitsHellos: true });
  await guest.store.create(name('a'), value('1'), rootOnly);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statuses: (number | undefined)[] = [];
  let flooding = true;
  const flood = (async () => {
    while (flooding) statuses.push(await hello(guest.vsockPath, agent).catch(() => undefined));
  })();
  while (!statuses.includes(429)) await new Promise((resolve) => setImmediate(resolve));
  await guest.run();
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), '1');
  const before = statuses.length;
  for (let change = 0; change < 20; change += 1) {
    await guest.store.update(name('a'), { value: value(`value ${change}`) });
    await guest.caughtUp();
  }
  assert.ok(statuses.length > before, 'the flood went on');
  flooding = false;
  await flood;
  agent.destroy();
  assert.equal(readFileSync(join(guest.directory, 'a'), 'utf8'), 'value 19');
});

test('the host knows which release the agent is', async (context) => {
  const guest = await startGuest(context);
  assert.equal(guest.vm.summary().agentVersion, undefined);
  await guest.run();
  assert.equal(guest.vm.summary().agentVersion, VERSION);
});
