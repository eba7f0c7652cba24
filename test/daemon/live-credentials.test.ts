// Credentials that the daemon delivers while a VM runs: to that VM alone, through changes and a restart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base64, bench, directoryFor, type Bench } from './daemon.ts';
import { GuestVms, syncing } from './guest-vms.ts';

const CREDENTIAL = { name: 'db.password', secret: 'a', deliver: 'live', trimNewline: true };

const held = ({ vms }: Bench, hostname: string): string[][] =>
  [...vms.guests.get(hostname)?.agent.held ?? []].map(([name, { bytes }]) => [name, bytes.toString()]);

/** `web-1` has the credential and no grant, `web-2` neither. */
async function launched(given: Bench): Promise<void> {
  await given.api('POST', '/secrets', { name: 'a', data: base64('canary\n') });
  for (const credentials of [[CREDENTIAL], []]) {
    const { status } = await given.api('POST', '/hostgroup/web/nodes?wait=agent&timeout=30s', { secrets: [], credentials });
    assert.equal(status, 201);
  }
}

test('a VM gets the credentials of its launch and another VM none of them', async (t) => {
  const given = await bench(t);
  await launched(given);
  assert.deepEqual(held(given, 'web-1'), [['.cred.db.password', 'canary']]);
  assert.deepEqual(held(given, 'web-2'), []);
  const { body } = await given.api('GET', '/vm/web-1/secrets');
  assert.deepEqual(body.secrets.map(({ since, ...rest }: { since: string }) => ({ ...rest, since: typeof since })), [
    { name: 'a', credential: 'db.password', state: 'current', since: 'string' },
  ]);
  assert.deepEqual((await given.api('GET', '/vm/web-2/secrets')).body.secrets, []);
});

test('a change waits for the VMs that have the secret as a credential, and its removal takes it away', async (t) => {
  const given = await bench(t);
  await launched(given);
  const { body } = await given.api('PATCH', '/secrets/a?wait=30s', { data: base64('changed\n') });
  assert.deepEqual(body.delivery, { holding: 1, running: 1, pending: [] });
  assert.deepEqual(held(given, 'web-1'), [['.cred.db.password', 'changed']]);
  const { body: removed } = await given.api('DELETE', '/secrets/a?wait=30s');
  assert.deepEqual(removed.delivery, { holding: 1, running: 1, pending: [] });
  assert.deepEqual(held(given, 'web-1'), []);
});

test('a guest that can not write a credential ends the wait for it', async (t) => {
  const directory = directoryFor(t);
  const vms = new GuestVms(directory);
  vms.boot = async (agent, ...rest) => {
    if (rest[1] === 'web-2') return syncing(agent, ...rest);
    await agent.establish();
    await agent.sync();
    await agent.sync(true);
    await agent.request('POST /v1/report', {}, { generation: '', errors: [{ name: '.cred.db.password', code: 'ENOSPC', message: 'no space left' }] });
  };
  const given = await bench(t, { directory, vms });
  await launched(given);
  const { body } = await given.api('PATCH', '/secrets/a?wait=30s', { data: base64('changed') });
  assert.deepEqual(body.delivery, { holding: 0, running: 1, pending: ['web-1'] });
  const { body: { secrets } } = await given.api('GET', '/vm/web-1/secrets');
  assert.deepEqual(secrets, [{ name: 'a', credential: 'db.password', state: 'failed', error: { code: 'ENOSPC', message: 'no space left' } }]);
});

test('a daemon that comes back delivers the credentials of the VMs that it adopts', async (t) => {
  const directory = directoryFor(t);
  const vms = new GuestVms(directory);
  const first = await bench(t, { directory, vms, keepVms: true });
  await launched(first);
  const agent = vms.guests.get('web-1')?.agent;
  assert.ok(agent);
  await first.daemon.stop();
  const again = await bench(t, { directory, vms, keepVms: true });
  agent.held.clear();
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  assert.deepEqual(held(again, 'web-1'), [['.cred.db.password', 'canary']]);
});
