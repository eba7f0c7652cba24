import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostConnection } from './host-connection.ts';
import { bench } from './live-vm.ts';

test('a body that no route wants is not read to its end: the connection ends after the answer', async (t) => {
  const set = await bench(t);
  set.store.set('a', '1');
  await set.agent.establish();
  for (const line of ['GET /v1/secrets', 'POST /v1/userdata', 'GET /nothing']) {
    const connection = new HostConnection(await set.device.dialHost());
    const { headers } = await connection.send(`${line} HTTP/1.1\r\nAuthorization: Bearer ${set.agent.sessionKey}\r\nContent-Length: 1000000000000\r\n\r\nx`);
    assert.equal(headers.get('connection'), 'close');
    await connection.closed;
  }
});

for (const version of ['HTTP/1.0', 'HTTP/0.9', '']) {
  test(`a request of ${version || 'no version'} ends its connection without an answer`, async (t) => {
    const set = await bench(t);
    const connection = new HostConnection(await set.device.dialHost());
    connection.send(`POST /v1/hello ${version}\r\n\r\n`).catch(() => {});
    await connection.closed;
    assert.equal(Buffer.concat(connection.received).toString(), '');
  });
}
