import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { base64, bench } from './daemon.ts';
import { syncing } from './guest-vms.ts';

test('a secret is created, listed, changed and removed, and no answer holds its value', async (t) => {
  const { api, directory, log } = await bench(t);
  const canary = 'canary-5f0c';
  const created = await api('POST', '/secrets', { name: 'api-key', data: base64(canary), permissions: '0640', uid: 1000, gid: 1001 });
  assert.equal(created.status, 201);
  const file = join(directory, '.secrets', 'api-key');
  assert.equal(readFileSync(file, 'utf8'), canary);
  assert.equal(statSync(file).mode & 0o7777, 0o640);
  const { body: [listed] } = await api('GET', '/secrets');
  assert.deepEqual(Object.keys(listed), ['name', 'size', 'permissions', 'uid', 'gid', 'mod_time', 'modified_at']);
  assert.deepEqual([listed.name, listed.size, listed.permissions, listed.uid, listed.gid], ['api-key', 11, '0640', 1000, 1001]);
  assert.equal(listed.mod_time, new Date(Math.floor(statSync(file).mtimeMs)).toISOString());
  assert.equal((await api('PATCH', '/secrets/api-key', { data: base64(`${canary}!`) })).body.size, 12);
  assert.deepEqual((await api('DELETE', '/secrets/api-key')).body, { name: 'api-key' });
  assert.equal(existsSync(file), false);
  assert.ok(!log.join('').includes(canary) && !log.join('').includes(base64(canary)));
});

test('an empty value beside other fields keeps the value, alone it is refused unless it is allowed', async (t) => {
  const { api, directory } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('kept') });
  const value = () => readFileSync(join(directory, '.secrets', 'a'), 'utf8');
  assert.equal((await api('PATCH', '/secrets/a', { data: '', permissions: '0644' })).body.permissions, '0644');
  assert.equal(value(), 'kept');
  const { status, body } = await api('PATCH', '/secrets/a', { data: '' });
  assert.deepEqual([status, body.code], [400, 'empty_value']);
  assert.equal((await api('PATCH', '/secrets/a', { data: '', allow_empty: true })).status, 200);
  assert.equal(value(), '');
});

test('a secret that is there already, or is not, is said to be', async (t) => {
  const { api } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: '' });
  assert.deepEqual(codes(await api('POST', '/secrets', { name: 'a', data: '' })), [409, 'secret_exists']);
  assert.deepEqual(codes(await api('PATCH', '/secrets/b', { uid: 1 })), [404, 'secret_not_found']);
  assert.deepEqual(codes(await api('DELETE', '/secrets/b')), [404, 'secret_not_found']);
});

test('all that is wrong with a request is told at once, in path, query and body', async (t) => {
  const { api } = await bench(t);
  const { status, body } = await api('PATCH', '/secrets/a%20b?wait=soon&x=1', { data: '!', permissions: '4755', uid: -1, gid: 4294967295, y: 1 });
  assert.equal(status, 400);
  assert.deepEqual(body.problems.map((problem: { code: string }) => problem.code).sort(), [
    'invalid_base64', 'invalid_name', 'invalid_owner', 'invalid_owner', 'invalid_permissions', 'invalid_request', 'invalid_request', 'invalid_request',
  ]);
});

test('a change waits until running VMs that are granted the secret hold it, and counts them', async (t) => {
  const { api, attach } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('1') });
  await api('POST', '/secrets', { name: 'b', data: base64('1') });
  const [one, two, other] = [await attach('one'), await attach('two', ['a']), await attach('other', ['b'])];
  await Promise.all([one, two, other].map((agent) => syncing(agent, undefined as never, '')));
  const { body } = await api('PATCH', '/secrets/a?wait=30s', { data: base64('2') });
  assert.deepEqual(body.delivery, { holding: 2, running: 2, pending: [] });
  assert.equal(one.held.get('a')?.bytes.toString(), '2');
  assert.equal(other.held.has('a'), false);
  assert.deepEqual((await api('DELETE', '/secrets/a?wait=30s')).body.delivery, { holding: 2, running: 2, pending: [] });
  assert.equal(two.held.has('a'), false);
  assert.deepEqual((await api('POST', '/secrets?wait=30s', { name: 'c', data: '' })).body.delivery, { holding: 1, running: 1, pending: [] });
});

test('a VM that does not come is pending when the wait is over, one that reports a fault at once', async (t) => {
  const { api, attach } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('1') });
  await attach('silent');
  assert.deepEqual((await api('PATCH', '/secrets/a?wait=10ms', { uid: 1 })).body.delivery, { holding: 0, running: 1, pending: ['silent'] });
  await api('DELETE', '/nodes/silent');
  const full = await attach('full');
  await full.establish();
  await full.sync(true);
  const poll = full.sync(true);
  const patched = api('PATCH', '/secrets/a?wait=1h', { data: base64('2') });
  await poll;
  await full.request('POST /v1/report', {}, { generation: full.generation, errors: [{ name: 'a', code: 'ENOSPC', message: 'no space left' }] });
  assert.deepEqual((await patched).body.delivery, { holding: 0, running: 1, pending: ['full'] });
  const { body } = await api('GET', '/vm/full/secrets');
  assert.deepEqual(body.secrets, [{ name: 'a', state: 'failed', error: { code: 'ENOSPC', message: 'no space left' } }]);
});

test('without wait a change answers at once and says nothing of VMs', async (t) => {
  const { api, attach } = await bench(t);
  await attach('silent');
  assert.equal((await api('POST', '/secrets', { name: 'a', data: '' })).body.delivery, undefined);
});

test('files put there by hand are secrets like any other, and what is not served is listed with the reason', async (t) => {
  const { api, directory } = await bench(t);
  writeFileSync(join(directory, '.secrets', 'by-hand'), 'value', { mode: 0o600 });
  writeFileSync(join(directory, '.secrets', 'editor~'), 'value', { mode: 0o600 });
  writeFileSync(join(directory, '.secrets', 'setuid'), 'value');
  chmodSync(join(directory, '.secrets', 'setuid'), 0o4755);
  const { body: { skipped, problem } } = await api('GET', '/store');
  assert.deepEqual(skipped.map(({ file }: { file: string }) => file), ['editor~', 'setuid']);
  assert.equal(problem, undefined);
  assert.deepEqual((await api('GET', '/secrets')).body.map(({ name }: { name: string }) => name), ['by-hand']);
});

const codes = ({ status, body }: { status: number; body: { code: string } }): [number, string] => [status, body.code];
