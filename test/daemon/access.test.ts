import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import { JSON_BODY_MAX_BYTES, REQUEST_HEAD_MAX_BYTES } from '../../src/api/limits.ts';
import { routes } from '../../src/api/routes.ts';
import { loadToken } from '../../src/daemon/token.ts';
import { base64, bench, call, directoryFor } from './daemon.ts';

test('the token is made at the first start, for its owner alone, and stays', async (t) => {
  const directory = directoryFor(t);
  const file = join(directory, 'auth', 'token');
  const token = await loadToken(file, () => 'ab'.repeat(32));
  assert.equal(token, 'ab'.repeat(32));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(join(directory, 'auth')).mode & 0o777, 0o700);
  assert.equal(await loadToken(file, () => 'cd'.repeat(32)), token);
});

test('a token file that others can read, or that holds no token, is refused', async (t) => {
  const file = join(directoryFor(t), 'token');
  writeFileSync(file, 'short\n', { mode: 0o600 });
  await assert.rejects(loadToken(file, () => ''), { code: 'invalid_config' });
  writeFileSync(file, 'a user made this token\n');
  await assert.rejects(loadToken(file, () => ''), { code: 'invalid_config' });
  writeFileSync(file, 'a-user-made-this-token\n');
  assert.equal(await loadToken(file, () => ''), 'a-user-made-this-token');
  chmodSync(file, 0o640);
  await assert.rejects(loadToken(file, () => ''), { code: 'store_not_private' });
});

test('a token file that is a FIFO is refused, and holds nobody up', async (t) => {
  const file = join(directoryFor(t), 'token');
  execFileSync('mkfifo', ['-m', '600', file]);
  await assert.rejects(loadToken(file, () => ''), { code: 'invalid_config', message: /is not a file/ });
});

test('a token file that another user put there is refused', { skip: process.geteuid?.() !== 0 && 'needs root, to give a file away' }, async (t) => {
  const file = join(directoryFor(t), 'token');
  writeFileSync(file, 'a-user-made-this-token\n', { mode: 0o600 });
  chownSync(file, 1000, 1000);
  await assert.rejects(loadToken(file, () => ''), { code: 'store_not_private', message: /belongs to user 1000/ });
});

for (const { method, path } of Object.values(routes).filter(({ path }) => path !== '/healthz')) {
  test(`over TCP ${method} ${path} asks for the token`, async (t) => {
    const { tcp, tokenFile } = await bench(t);
    const token = readFileSync(tokenFile, 'utf8').trim();
    const ask = (headers: OutgoingHttpHeaders) => call(tcp, method.toUpperCase(), path.replace(/\{[^}]+\}/g, 'x'), undefined, headers);
    const wrong = [undefined, '', token, `Basic ${token}`, `Bearer ${token.slice(1)}`, `Bearer ${token}x`, `bearer ${token}`];
    for (const authorization of wrong) {
      const { status, body, headers } = await ask(authorization === undefined ? {} : { authorization });
      assert.deepEqual([status, body.code, headers['www-authenticate']], [401, 'unauthorized', 'Bearer']);
    }
    assert.notEqual((await ask({ authorization: `Bearer ${token}` })).status, 401);
  });
}

test('what is unknown asks for the token too, and liveness does not', async (t) => {
  const { tcp } = await bench(t);
  for (const path of ['/nope', '/openapi.json', '/healthz/x', '/secrets/', '//healthz', '/HEALTHZ']) {
    assert.equal((await call(tcp, 'GET', path)).status, 401, path);
  }
  const { status, body } = await call(tcp, 'GET', '/healthz');
  assert.deepEqual([status, body], [200, { status: 'ok' }]);
});

test('a parameter that a route does not know refuses the request before anything is done; liveness takes any', async (t) => {
  const { api } = await bench(t);
  assert.equal((await api('POST', '/secrets', { name: 'x', data: base64('1') })).status, 201);
  for (const { method, path } of Object.values(routes).filter(({ path }) => path !== '/healthz')) {
    const { status, body } = await api(method.toUpperCase(), `${path.replace(/\{[^}]+\}/g, 'x')}?dry_run=true`);
    assert.deepEqual([status, /unknown field "dry_run"/.test(body.error)], [400, true], `${method} ${path}`);
  }
  assert.equal((await api('GET', '/secrets')).body.length, 1);
  assert.equal((await api('GET', '/healthz?from=balancer')).status, 200);
});

test('both listeners serve at once; the socket asks for no token and is its owner\'s', async (t) => {
  const { tcp, tokenFile, api, socket } = await bench(t);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.equal((await api('POST', '/secrets', { name: 'a', data: base64('1') })).status, 201);
  const { body } = await call(tcp, 'GET', '/secrets', undefined, { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` });
  assert.deepEqual(body.map(({ name }: { name: string }) => name), ['a']);
});

test('a group may be let in to the socket, by number and by name', async (t) => {
  for (const [group, gid] of [['1234', 1234], ['daemon', 1]] as const) {
    const { socket } = await bench(t, {
      config: (config) => ({ ...config, api: { ...config.api, unix: { path: config.api.unix?.path as string, group } } }),
    });
    const { mode, gid: found } = statSync(socket);
    assert.deepEqual([mode & 0o777, found], [0o660, gid]);
  }
  await assert.rejects(bench(t, {
    config: (config) => ({ ...config, api: { ...config.api, unix: { path: config.api.unix?.path as string, group: 'no-such-group' } } }),
  }), { code: 'invalid_config' });
});

test('without a token TCP serves everybody but the pages that a browser shows', async (t) => {
  const { tcp, tokenFile, api } = await bench(t, { auth: false });
  assert.equal(existsSync(tokenFile), false);
  assert.equal((await call(tcp, 'GET', '/secrets')).status, 200);
  for (const method of ['GET', 'POST', 'DELETE']) {
    const { status, body } = await call(tcp, method, '/secrets', method === 'POST' ? { name: 'a', data: '' } : undefined, { origin: 'http://127.0.0.1' });
    assert.deepEqual([status, body.code], [403, 'forbidden']);
  }
  const form = await call(tcp, 'POST', '/secrets', '{"name":"a","data":""}', { 'content-type': 'text/plain' });
  assert.deepEqual([form.status, form.body.code], [400, 'invalid_request']);
  assert.deepEqual((await api('GET', '/secrets')).body, []);
});

test('without a token TCP answers no page whose name was made to lead here, and a socket takes any name', async (t) => {
  const { tcp, api } = await bench(t, { auth: false });
  const port = new URL(tcp).port;
  const status = async (host: string): Promise<number> => (await call(tcp, 'GET', '/secrets', undefined, { host })).status;
  for (const host of [`evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example']) assert.equal(await status(host), 403, host);
  for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, '10.0.0.1']) assert.equal(await status(host), 200, host);
  assert.equal((await api('GET', '/secrets', undefined, { host: 'slicer' })).status, 200);
});

test('what is no resource is 404, another method 405 with those that are possible', async (t) => {
  const { api } = await bench(t);
  assert.deepEqual([(await api('GET', '/nope')).status, (await api('GET', '/secrets/')).status, (await api('GET', '/')).status], [404, 404, 404]);
  const { status, headers, body } = await api('PUT', '/secrets/a');
  assert.deepEqual([status, headers['allow'], body.code], [405, 'PATCH, DELETE', 'method_not_allowed']);
  assert.equal((await api('POST', '/vm/x/logs')).headers['allow'], 'GET, HEAD');
  assert.equal((await api('GET', '/openapiXjson')).status, 404);
});

test('a request whose every part is wrong is answered in a few lines', async (t) => {
  const { api } = await bench(t);
  const { status, body } = await api('POST', '/hostgroup/web/nodes', { secrets: Array.from({ length: 50_000 }, (_, index) => `not/a name ${index}`) });
  assert.deepEqual([status, body.code], [400, 'invalid_name']);
  assert.ok(JSON.stringify(body).length < 16 * 1024, String(JSON.stringify(body).length));
  assert.match(JSON.stringify(body), /49980 more of the kind/);
});

test('HEAD answers as GET does, without the body', async (t) => {
  const { api } = await bench(t);
  const { status, text: body, headers } = await api('HEAD', '/secrets');
  assert.deepEqual([status, body, headers['content-type']], [200, '', 'application/json']);
  assert.equal((await api('HEAD', '/vm/nope/health')).status, 404);
});

const badBodies: readonly [string, string, number, string][] = [
  ['that is no JSON', '{"name":', 400, 'invalid_request'],
  ['that is a list', '[]', 400, 'invalid_request'],
  ['that is null', 'null', 400, 'invalid_request'],
  ['that is empty', '', 400, 'invalid_request'],
  ['that is too large', `{"name":"${'x'.repeat(JSON_BODY_MAX_BYTES)}"}`, 413, 'body_too_large'],
];
for (const [what, body, expected, code] of badBodies) {
  test(`a body ${what} is answered ${expected}, without a word of it`, async (t) => {
    const { api, log } = await bench(t);
    const answer = await api('POST', '/secrets', body, { 'content-type': 'application/json' });
    assert.deepEqual([answer.status, answer.body.code], [expected, code]);
    assert.ok(!answer.text.includes('xxx') && !log.join('').includes('xxx'));
  });
}

test('a body in chunks is bounded like one with a length', async (t) => {
  const { api, socket } = await bench(t);
  const connection = connect(socket);
  connection.write('POST /secrets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
  for (let sent = 0; sent <= JSON_BODY_MAX_BYTES; sent += 0x10000) connection.write(chunk);
  const answer = await new Promise<string>((resolve) => connection.once('data', (data) => resolve(data.toString())));
  assert.match(answer, /^HTTP\/1\.1 413 /);
  connection.destroy();
  assert.equal((await api('GET', '/healthz')).status, 200);
});

test('what is no HTTP request is answered in the form of the API', async (t) => {
  const { socket } = await bench(t);
  const answers = await Promise.all(['nonsense\r\n\r\n', `GET / HTTP/1.1\r\na: ${'x'.repeat(REQUEST_HEAD_MAX_BYTES)}\r\n\r\n`].map(async (bytes) => {
    const connection = connect(socket);
    connection.write(bytes);
    return text(connection);
  }));
  assert.match(answers[0] as string, /^HTTP\/1\.1 400 Bad Request\r\n[^]*\{"error":"[^"]+","code":"invalid_request"\}$/);
  assert.match(answers[1] as string, /^HTTP\/1\.1 431 /);
});

test('an error that nobody foresaw is 500, and neither answer nor log holds its text', async (t) => {
  const { api, vms, log } = await bench(t);
  vms.list = () => {
    throw new Error('canary of a library');
  };
  const { status, body, text: answer } = await api('GET', '/nodes');
  assert.deepEqual([status, body.code], [500, 'internal']);
  assert.ok(!answer.includes('canary'));
  assert.ok(!log.join('').includes('canary'));
  assert.ok(log.some((line) => line.includes('access.test.ts')));
});

test('a store that became public refuses changes and says how to mend it', async (t) => {
  const { api, directory } = await bench(t);
  chmodSync(join(directory, '.secrets'), 0o755);
  const { status, body } = await api('POST', '/secrets', { name: 'a', data: '' });
  assert.deepEqual([status, body.code], [500, 'store_not_private']);
  assert.match(body.hint, /chmod/);
  chmodSync(join(directory, '.secrets'), 0o700);
});
