import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HostConnection } from '../live/host-connection.ts';
import { auditFile, auditRecords, recordsOf } from './audit-log.ts';
import { FRAME } from '../../src/wire/exec-frames.ts';
import { base64, bench, call, GROUP, directoryFor } from './daemon.ts';

const CANARY = 'canary-value-71f3';

test('each create, update and remove is on record with who asked, what for, and how it ended', async (t) => {
  const { api, tcp, tokenFile, directory } = await bench(t);
  const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  await api('POST', '/secrets', { name: 'api-key', data: base64(CANARY) });
  await api('POST', '/secrets', { name: 'api-key', data: base64(CANARY) });
  await call(tcp, 'PATCH', '/secrets/api-key', { data: base64(`${CANARY}2`) }, { authorization });
  await api('DELETE', '/secrets/api-key');
  await api('DELETE', '/secrets/api-key');
  const secret = 'api-key';
  assert.deepEqual(recordsOf(directory, 'create'), [
    { actor: 'admin', event: 'create', secret, outcome: 'ok' }, { actor: 'admin', event: 'create', secret, outcome: 'failed', reason: 'secret_exists' },
  ]);
  assert.deepEqual(recordsOf(directory, 'update'), [{ actor: 'token', event: 'update', secret, outcome: 'ok' }]);
  assert.deepEqual(recordsOf(directory, 'remove'), [
    { actor: 'admin', event: 'remove', secret, outcome: 'ok' }, { actor: 'admin', event: 'remove', secret, outcome: 'failed', reason: 'secret_not_found' },
  ]);
  const all = auditRecords(directory);
  assert.equal(all[0]?.event, 'start');
  for (const { time } of all) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  // Each beginning stands before its end.
  const begun = all.filter(({ outcome }) => outcome === 'begun');
  assert.equal(begun.length, 5);
  for (const { id } of begun) assert.equal(all.filter((record) => record.id === id).length, 2);
});

test('a change that somebody makes in the directory is on record as made by "file"', async (t) => {
  const { api, directory } = await bench(t);
  await api('POST', '/secrets', { name: 'mine', data: base64(CANARY) });
  const path = join(directory, '.secrets', 'x');
  writeFileSync(path, CANARY, { mode: 0o600 });
  await api('GET', '/store');
  writeFileSync(path, `${CANARY}-2`);
  await api('GET', '/store');
  unlinkSync(path);
  await api('GET', '/store');
  // What is noted is written with the turn of the event loop; a change is written at once, after it.
  await api('DELETE', '/secrets/mine');
  const byFile = auditRecords(directory).filter(({ actor }) => actor === 'file').map(({ event, secret, outcome }) => [event, secret, outcome]);
  assert.deepEqual(byFile, [['create', 'x', 'ok'], ['update', 'x', 'ok'], ['remove', 'x', 'ok']]);
});

test('a change that somebody makes while no daemon runs is on record at its next start as made "outside"', async (t) => {
  const directory = directoryFor(t);
  const { api, daemon } = await bench(t, { directory });
  for (const name of ['kept', 'changed', 'gone']) await api('POST', '/secrets', { name, data: base64(CANARY) });
  await daemon.stop();
  const secrets = join(directory, '.secrets');
  writeFileSync(join(secrets, 'changed'), `${CANARY}-2`);
  unlinkSync(join(secrets, 'gone'));
  writeFileSync(join(secrets, 'added'), CANARY, { mode: 0o600 });
  for (let start = 0; start < 2; start += 1) await (await bench(t, { directory })).daemon.stop();
  const outside = auditRecords(directory).filter(({ actor }) => actor === 'outside').map(({ event, secret, outcome }) => [event, secret, outcome]);
  assert.deepEqual(outside.sort(), [['create', 'added', 'ok'], ['remove', 'gone', 'ok'], ['update', 'changed', 'ok']]);
});

test('a read by a VM is on record for each secret before the secret leaves the host', async (t) => {
  const { api, attach, directory } = await bench(t);
  for (const name of ['a', 'b', 'other']) await api('POST', '/secrets', { name, data: base64(CANARY) });
  const agent = await attach('db', ['a', 'b']);
  await agent.establish();
  await agent.sync();
  assert.deepEqual(recordsOf(directory, 'read'), ['a', 'b'].map((secret) => ({ actor: 'vm', event: 'read', vm: 'db', secret, outcome: 'ok', channel: 'live' })));
  await api('PATCH', '/secrets/b', { data: base64(`${CANARY}!`) });
  await agent.sync();
  assert.deepEqual(recordsOf(directory, 'read').slice(2).map(({ secret }) => secret), ['b']);
  agent.close();
});

test('a log that can\'t be written makes the change fail, and nothing is changed', async (t) => {
  const { api, directory, log } = await bench(t);
  await api('POST', '/secrets', { name: 'there', data: base64('old') });
  const file = auditFile(directory);
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  for (const [method, path, body] of [
    ['POST', '/secrets', { name: 'new', data: base64(CANARY) }], ['PATCH', '/secrets/there', { data: base64(CANARY) }], ['DELETE', '/secrets/there', undefined],
  ] as const) {
    const answer = await api(method, path, body);
    assert.deepEqual([answer.status, answer.body.code], [500, 'audit_not_writable'], method);
  }
  assert.deepEqual([existsSync(join(directory, '.secrets', 'new')), readFileSync(join(directory, '.secrets', 'there'), 'utf8')], [false, 'old']);
  assert.ok(log.some((line) => line.includes('the audit log can\'t be written')));
  rmSync(file, { recursive: true });
  assert.equal((await api('DELETE', '/secrets/there')).status, 200);
});

test('secrets still reach a VM that may have them while the log can\'t be written, and the reads are counted', async (t) => {
  const { api, attach, directory } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64(CANARY) });
  const agent = await attach('db');
  await agent.establish();
  const file = auditFile(directory);
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  await agent.sync();
  assert.deepEqual([...agent.held.keys()], ['a']);
  rmSync(file, { recursive: true });
  await api('DELETE', '/secrets/a');
  assert.deepEqual(recordsOf(directory, 'gap').map(({ suppressed }) => suppressed), [1]);
  agent.close();
});

test('who has no token, or a wrong one, is on record', async (t) => {
  const { tcp, directory } = await bench(t);
  await call(tcp, 'GET', '/secrets');
  await call(tcp, 'POST', '/secrets', { name: 'a', data: base64(CANARY) }, { authorization: `Bearer ${CANARY}` });
  assert.deepEqual(recordsOf(directory, 'refusal').map(({ actor, outcome, reason }) => [actor, outcome, reason]),
    [['nobody', 'refused', 'unauthorized'], ['nobody', 'refused', 'unauthorized']]);
});

test('what a guest is refused is on record with a reason of ours and not a word of its own', async (t) => {
  const { api, attach, directory } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64(CANARY) });
  const agent = await attach('db', []);
  await agent.establish();
  const ask = async (route: string, headers: Record<string, string>, body?: object): Promise<void> => {
    const connection = new HostConnection(await agent.device.dialHost());
    await connection.request(route, headers, body).catch(() => undefined);
    connection.close();
  };
  const proven = { Authorization: `Bearer ${agent.sessionKey}` };
  await ask('GET /v1/secrets', {});
  await ask('GET /v1/secrets', { Authorization: `Bearer ${CANARY}` });
  await ask(`GET /v1/secrets/${CANARY}`, proven);
  await ask('POST /v1/report', proven, { generation: '', errors: [{ name: 'a', code: 'E', message: CANARY }] });
  await ask('POST /v1/report', proven, Buffer.from(CANARY));
  assert.deepEqual(recordsOf(directory, 'refusal').map(({ vm, reason }) => [vm, reason]),
    ['no_key', 'wrong_key', 'not_found', 'not_granted', 'malformed'].map((reason) => ['db', reason]));
  agent.close();
});

test('a launch is on record with what was granted, and each credential given at boot as read', async (t) => {
  const { api, directory } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64(CANARY) });
  await api('POST', '/secrets', { name: 'b', data: base64(CANARY) });
  const launched = await api('POST', '/hostgroup/web/nodes?wait=agent', { secrets: ['a'], credentials: [{ name: 'b.conf', secret: 'b', deliver: 'boot' }] });
  assert.equal(launched.status, 201, launched.text);
  assert.equal((await api('POST', '/hostgroup/web/nodes', { secrets: ['nope'] })).status, 404);
  await api('DELETE', '/nodes/web-1');
  assert.deepEqual(recordsOf(directory, 'grant'), [
    { actor: 'admin', event: 'grant', vm: 'web-1', outcome: 'ok', grant: ['a'], credentials: [{ name: 'b.conf', secret: 'b' }] },
    { actor: 'admin', event: 'grant', outcome: 'failed', reason: 'secret_not_found' },
  ]);
  assert.deepEqual(recordsOf(directory, 'read').map(({ secret, channel, credential }) => [secret, channel, credential]).sort(), [['a', 'live', undefined], ['b', 'boot', 'b.conf']]);
  assert.deepEqual(recordsOf(directory, 'delete'), [{ actor: 'admin', event: 'delete', vm: 'web-1', outcome: 'ok' }]);
});

test('a VM that is attached, or that the configuration asks for, is on record with its grant', async (t) => {
  const { attach, directory, vms, daemon } = await bench(t, { groups: [{ ...GROUP, count: 1, secrets: [] }] });
  const agent = await attach('db');
  await new Promise<void>((resolve) => {
    const check = (): void => void (vms.get('web-1')?.status === 'running' && resolve());
    vms.onChange(check);
    check();
  });
  await daemon.stop();
  assert.deepEqual(recordsOf(directory, 'grant').map(({ actor, vm, grant }) => [actor, vm, grant]).sort(), [['admin', 'db', 'all'], ['daemon', 'web-1', []]]);
  agent.close();
});

test('a log that can\'t be written makes a launch fail before anything of the VM runs, and a command before it does', async (t) => {
  const { api, attach, directory, vms } = await bench(t);
  const agent = await attach('db');
  await agent.establish();
  const file = auditFile(directory);
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  for (const [path, body] of [['/hostgroup/web/nodes', {}], ['/nodes', { hostname: 'x', vsock: '/x' }], ['/vm/db/exec?cmd=id&buffered=true', undefined]] as const) {
    const answer = await api('POST', path, body);
    assert.deepEqual([answer.status, answer.body.code], [500, 'audit_not_writable'], path);
  }
  assert.deepEqual([vms.list().map(({ hostname }) => hostname), agent.requested.filter((line) => line === 'POST /v1/exec')], [['db'], []]);
  rmSync(file, { recursive: true });
  agent.close();
});

test('a command is on record with who ran it, where, and its exit code, and without a word of it', async (t) => {
  const { api, attach, directory } = await bench(t);
  const agent = await attach('db');
  await agent.establish();
  agent.runCommand = (_request, send) => {
    send({ type: FRAME.started, payload: Buffer.from('7') });
    send({ type: FRAME.exit, payload: Buffer.from('3') });
    return () => {};
  };
  const query = `cmd=${CANARY}&args=${CANARY}&env=A=${CANARY}`;
  assert.equal((await api('POST', `/vm/db/exec?${query}&buffered=true`)).body.exit_code, 3);
  await api('POST', `/vm/db/exec?${query}`);
  agent.runCommand = (_request, send) => {
    send({ type: FRAME.failed, payload: Buffer.from('no such directory') });
    return () => {};
  };
  assert.equal((await api('POST', `/vm/db/exec?${query}`)).status, 502);
  const run = { actor: 'admin', event: 'exec', vm: 'db' };
  assert.deepEqual(recordsOf(directory, 'exec'), [
    { ...run, outcome: 'ok', exit_code: 3 }, { ...run, outcome: 'ok', exit_code: 3 }, { ...run, outcome: 'failed', reason: 'exec_failed' },
  ]);
  assert.ok(!readFileSync(auditFile(directory), 'utf8').includes(CANARY));
  agent.close();
});

test('no value, key or token is ever in the audit log', async (t) => {
  const { api, attach, directory, tcp, tokenFile } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64(CANARY) });
  await api('PATCH', '/secrets/a', { data: base64(`${CANARY}2`), permissions: '0644' });
  const agent = await attach('db');
  await agent.establish();
  await agent.sync();
  await call(tcp, 'POST', '/secrets', { name: CANARY, data: CANARY }, { authorization: CANARY });
  await api('POST', '/secrets', `{"name":"${CANARY}!","data":"${CANARY}"}`, { 'content-type': 'application/json' });
  await api('DELETE', `/secrets/a?x=${CANARY}`);
  const text = readFileSync(auditFile(directory), 'utf8');
  for (const form of [CANARY, base64(CANARY), Buffer.from(CANARY).toString('hex'), agent.sessionKey as string, readFileSync(tokenFile, 'utf8').trim()]) {
    assert.ok(!text.includes(form), form);
  }
  agent.close();
});
