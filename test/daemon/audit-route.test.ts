import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { base64, bench, send } from './daemon.ts';

const lines = (text: string): Record<string, unknown>[] => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);

test('the audit log is JSON lines, oldest first, chosen by VM, secret and time', async (t) => {
  const { api, attach } = await bench(t);
  for (const name of ['a', 'b']) await api('POST', '/secrets', { name, data: base64('1') });
  const agent = await attach('db', ['b']);
  await agent.establish();
  await agent.sync();
  const all = await api('GET', '/audit');
  assert.deepEqual([all.status, all.headers['content-type']], [200, 'application/x-ndjson']);
  assert.deepEqual(lines(all.text).map(({ event, outcome, secret }) => [event, outcome, secret]), [
    ['start', 'ok', undefined], ['create', 'begun', 'a'], ['create', 'ok', 'a'], ['create', 'begun', 'b'], ['create', 'ok', 'b'],
    ['grant', 'begun', undefined], ['grant', 'ok', undefined], ['read', 'ok', 'b'],
  ]);
  assert.deepEqual(lines((await api('GET', '/audit?secret=b')).text).map(({ event }) => event), ['create', 'create', 'grant', 'grant', 'read']);
  assert.deepEqual(lines((await api('GET', '/audit?vm=db')).text).map(({ event }) => event), ['grant', 'grant', 'read']);
  assert.equal((await api('GET', '/audit?since=2100-01-01T00:00:00Z')).text, '');
  for (const query of ['since=yesterday', 'secret=a%20b', 'vms=db']) assert.equal((await api('GET', `/audit?${query}`)).status, 400, query);
  agent.close();
});

test('who follows is told of each record as it is written, until the daemon stops', async (t) => {
  const { api, socket, daemon } = await bench(t);
  const incoming = await send({ socketPath: socket }, 'GET', '/audit?follow=true&secret=a');
  const records = createInterface({ input: incoming })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown[]> => {
    const { event, outcome } = JSON.parse((await records.next()).value as string) as Record<string, unknown>;
    return [event, outcome];
  };
  await api('POST', '/secrets', { name: 'a', data: '' });
  assert.deepEqual([await next(), await next()], [['create', 'begun'], ['create', 'ok']]);
  await api('DELETE', '/secrets/a');
  assert.deepEqual([await next(), await next()], [['remove', 'begun'], ['remove', 'ok']]);
  const ended = once(incoming, 'close');
  await daemon.stop();
  await ended;
  assert.equal((await records.next()).done, true);
});
