import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { routes } from '../../src/api/routes.ts';
import { isReadable } from '../../src/daemon/read-routes.ts';
import { recordsOf } from './audit-log.ts';
import { base64, bench, call, directoryFor, type Answer } from './daemon.ts';

async function withReader(t: TestContext) {
  const directory = directoryFor(t);
  const path = join(directory, 'read.sock');
  const given = await bench(t, {
    directory, config: (config) => ({ ...config, api: { ...config.api, sockets: [{ path, group: '1234', role: 'read' }] } }),
  });
  const read = (method: string, route: string, body?: unknown): Promise<Answer> => call({ socketPath: path }, method, route, body);
  return { ...given, read, path };
}

test('a socket of the role read changes nothing: every route that it may not use is refused and on record', async (t) => {
  const { api, read, directory, daemon } = await withReader(t);
  await api('POST', '/secrets', { name: 'x', data: base64('value') });
  const all = Object.values(routes).filter(({ path }) => path !== '/healthz');
  for (const route of all) {
    const { status, body } = await read(route.method.toUpperCase(), route.path.replace(/\{[^}]+\}/g, 'x'), route.method === 'post' || route.method === 'patch' ? {} : undefined);
    if (isReadable(route)) assert.notEqual(status, 403, route.path);
    else assert.deepEqual([status, body.code], [403, 'forbidden'], `${route.method} ${route.path}`);
  }
  assert.deepEqual((await api('GET', '/secrets')).body.map(({ name }: { name: string }) => name), ['x']);
  await daemon.stop();
  const refused = recordsOf(directory, 'refusal');
  assert.deepEqual(refused.map(({ request }) => request), all.filter((route) => !isReadable(route)).map(({ method, path }) => `${method.toUpperCase()} ${path}`));
  assert.ok(refused.every(({ actor, outcome, reason }) => actor === 'read' && outcome === 'refused' && reason === 'forbidden'));
  assert.deepEqual(refused.find(({ request }) => request === 'DELETE /secrets/{name}')?.secret, 'x');
  assert.deepEqual(refused.find(({ request }) => request === 'POST /vm/{hostname}/exec')?.vm, 'x');
});

test('the routes that change something, run a command, or show a console or the audit log are none of the role read\'s', () => {
  for (const route of Object.values(routes)) {
    if (route.method !== 'get' || /logs|audit/.test(route.path)) assert.equal(isReadable(route), false, route.path);
  }
});

test('a socket belongs to its group, and both sockets serve at once', async (t) => {
  const { api, read, path, daemon } = await withReader(t);
  const { mode, gid } = statSync(path);
  assert.deepEqual([mode & 0o777, gid], [0o660, 1234]);
  assert.ok(daemon.urls.includes(path));
  assert.deepEqual([(await api('GET', '/secrets')).status, (await read('GET', '/secrets')).status], [200, 200]);
});

test('the role read sees how a VM failed, and not what its console says', async (t) => {
  const { api, read, vms } = await withReader(t);
  await api('POST', '/hostgroup/web/nodes?wait=agent');
  vms.change('web-1', { status: 'failed', reason: 'qemu exited', lastConsoleLines: ['canary'] });
  for (const path of ['/nodes', '/hostgroup/web/nodes']) {
    assert.equal((await api('GET', path)).body[0].console, 'canary');
    const answer = await read('GET', path);
    assert.deepEqual([answer.body[0].error, answer.body[0].console], ['qemu exited', undefined]);
  }
});

test('each token over TCP has its name on record, and its role', async (t) => {
  const directory = directoryFor(t);
  const files = { ci: join(directory, 'ci.token'), grafana: join(directory, 'grafana.token') };
  const { tcp, tokenFile } = await bench(t, {
    directory, config: (config) => ({
      ...config,
      api: { ...config.api, tokens: [{ name: 'ci', tokenFile: files.ci, role: 'admin' }, { name: 'grafana', tokenFile: files.grafana, role: 'read' }] },
    }),
  });
  const ask = (file: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    call(tcp, method, path, body, { authorization: `Bearer ${readFileSync(file, 'utf8').trim()}` });
  assert.equal(new Set([tokenFile, ...Object.values(files)].map((file) => readFileSync(file, 'utf8'))).size, 3);
  assert.equal((await ask(tokenFile, 'POST', '/secrets', { name: 'a', data: '' })).status, 201);
  assert.equal((await ask(files.ci, 'PATCH', '/secrets/a', { data: base64('1') })).status, 200);
  assert.equal((await ask(files.grafana, 'GET', '/secrets')).status, 200);
  assert.equal((await ask(files.grafana, 'DELETE', '/secrets/a')).status, 403);
  assert.equal((await ask(files.ci, 'DELETE', '/secrets/a')).status, 200);
  const of = (event: 'create' | 'update' | 'remove' | 'refusal') => recordsOf(directory, event).map(({ actor, secret, outcome }) => [actor, secret, outcome]);
  assert.deepEqual(
    [of('create'), of('update'), of('refusal'), of('remove')],
    [[['token', 'a', 'ok']], [['ci', 'a', 'ok']], [['grafana', 'a', 'refused']], [['ci', 'a', 'ok']]],
  );
});
