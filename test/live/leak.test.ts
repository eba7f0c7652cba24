// Whatever a guest sends, with or without its session key, nothing of a secret outside its grant comes back:
// neither value nor name, in no answer, status or log line.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HostConnection } from './host-connection.ts';
import { bench } from './live-vm.ts';
import { secretName } from './memory-store.ts';

const NAME = 'canary-name';
const VALUE = 'canary-value';

const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND');
const target = fc.oneof(
  fc.constantFrom(
    '/v1/secrets', '/v1/secrets?wait', `/v1/secrets/${NAME}`, `/v1/secrets?name=${NAME}`, '/v1/report', '/v1/userdata', '/v1/hello',
    '/secrets', '/../secrets', '//v1/secrets', '/v1/secrets?wait=1', 'http://host/v1/secrets', '*',
  ),
  fc.webPath(),
);
const etagOf = (epoch: string) =>
  fc.oneof(fc.constantFrom('*', '""', 'W/"0123456789abcdef.1"'), fc.nat({ max: 9 }).map((counter) => `"${epoch}.${counter}"`));
const headerOf = (epoch: string) => fc.oneof(
  fc.record({ name: fc.constant('If-None-Match'), value: etagOf(epoch) }),
  fc.constantFrom(
    { name: 'A-IM', value: 'slicer-tar' }, { name: 'Range', value: 'bytes=0-99999' }, { name: 'Accept', value: 'application/json' },
    { name: 'X-HTTP-Method-Override', value: 'GET' }, { name: 'X-Slicer-Vm', value: 'web-2' }, { name: 'Host', value: 'web-2' },
    { name: 'X-Forwarded-For', value: '127.0.0.1' }, { name: 'Cookie', value: 'vm=web-2' },
  ),
);
const body = fc.option(fc.oneof(
  fc.constantFrom(
    { generation: '', errors: [{ name: 'mine', code: 'E', message: 'm' }] }, { generation: '"0123456789abcdef.2"', errors: [] },
    { exit_code: 0, output: '' }, { secrets: [NAME], grant: 'all' },
  ),
  fc.json().map((text) => Buffer.from(text)),
), { nil: undefined });

test('nothing outside the grant reaches a guest, whatever it asks', async (t) => {
  const { store, agent, device, vm, log } = await bench(t, { grant: [secretName('mine')] });
  await agent.establish();
  // Past the generations that the requests name, so that no poll is held.
  for (let count = 0; count < 10; count += 1) {
    store.set('mine', `granted ${count}`);
    await agent.sync();
  }
  store.set(NAME, VALUE);
  const epoch = agent.generation?.slice(1, 17) as string;
  await fc.assert(fc.asyncProperty(method, target, fc.array(headerOf(epoch), { maxLength: 4 }), body, fc.boolean(), async (verb, path, headers, sent, isProven) => {
    store.set(NAME, `${VALUE} ${path.length}`);
    const connection = new HostConnection(await device.dialHost());
    const all = {
      ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
      ...(isProven ? { Authorization: `Bearer ${agent.sessionKey}` } : {}),
    };
    const answered = connection.request(`${verb} ${path}`, all, sent).catch(() => undefined);
    // HEAD has a length and no body, which the agent's reader would wait for.
    if (verb === 'HEAD') connection.socket.once('data', () => connection.close());
    const response = await answered;
    connection.close();
    const received = Buffer.concat(connection.received).toString('latin1');
    assert.doesNotMatch(received, /canary/);
    if (!isProven) assert.ok(response === undefined || !received.includes('granted'));
  }), { numRuns: 300 });
  assert.doesNotMatch(JSON.stringify(vm.status()) + log.join(''), /canary/);
  assert.equal(await agent.sync(), 304);
  assert.deepEqual([...agent.held.keys()], ['mine']);
});
