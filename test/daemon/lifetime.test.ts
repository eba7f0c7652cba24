import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { takeLock } from '../../src/daemon/lock.ts';
import { base64, bench, directoryFor, send } from './daemon.ts';
import { GuestVms } from './guest-vms.ts';

const LOCK_MODULE = join(import.meta.dirname, '../../src/daemon/lock.ts');

test('a second daemon in the same directory is refused and leaves the first alone', async (t) => {
  const { directory, api } = await bench(t);
  await assert.rejects(bench(t, { directory }), { code: 'already_running', message: new RegExp(`process ${process.pid}$`) });
  assert.equal((await api('GET', '/healthz')).status, 200);
});

test('the lock of a process that was killed is free, that of a living one is not', async (t) => {
  const path = join(directoryFor(t), 'lock');
  const source = `import { takeLock } from ${JSON.stringify(LOCK_MODULE)}; await takeLock(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await assert.rejects(takeLock(path), { code: 'already_running', message: new RegExp(`process ${child.pid}$`) });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await takeLock(path))();
});

test('of many who take the lock at the same time one gets it', async (t) => {
  const path = join(directoryFor(t), 'lock');
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path)));
  const held = results.filter((result) => result.status === 'fulfilled');
  assert.equal(held.length, 1);
  await held[0]?.value();
  await (await takeLock(path))();
});

test('a daemon that stops ends its VMs, and leaves no socket, and its lock to the next', async (t) => {
  const { daemon, vms, directory, api } = await bench(t);
  await api('POST', '/hostgroup/web/nodes?wait=agent');
  await Promise.all([daemon.stop(), daemon.stop()]);
  await daemon.done;
  assert.equal(vms.closed, 'stopped');
  assert.deepEqual(readdirSync(directory).sort(), ['.secrets', '.slicer', 'auth']);
  await (await takeLock(join(directory, '.slicer', 'daemon.lock')))();
  await assert.rejects(api('GET', '/healthz'));
});

test('a daemon that keeps its VMs leaves them to the next one, which serves them', async (t) => {
  const directory = directoryFor(t);
  const vms = new GuestVms(directory);
  const first = await bench(t, { directory, vms, keepVms: true });
  await first.api('POST', '/secrets', { name: 'a', data: base64('1') });
  await first.api('POST', '/hostgroup/web/nodes?wait=agent');
  const agent = vms.guests.get('web-1')?.agent;
  assert.ok(agent);
  await first.daemon.stop();
  assert.equal(vms.closed, 'kept');
  const second = await bench(t, { directory, vms, keepVms: true });
  await agent.establish();
  agent.generation = undefined;
  assert.equal(await agent.sync(), 200);
  assert.equal((await second.api('GET', '/nodes')).body[0].hostname, 'web-1');
});

test('requests that wait get their answer when the daemon stops', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  vms.boot = async () => {};
  const { daemon, api, attach } = await bench(t, { vms });
  await attach('silent');
  const begun = new Promise<void>((resolve) => vms.onChange((_hostname, vm) => {
    if (vm?.status === 'running') resolve();
  }));
  const launch = api('POST', '/hostgroup/web/nodes?wait=agent&timeout=1h');
  await begun;
  const change = api('POST', '/secrets?wait=1h', { name: 'a', data: '' });
  await api('GET', '/secrets');
  await daemon.stop();
  assert.equal((await launch).body.code, 'launch_failed');
  assert.equal((await change).body.delivery.holding, 0);
});

test('a request that never ends does not keep the daemon from stopping', async (t) => {
  const { daemon, socket, attach } = await bench(t, { keepVms: true });
  const agent = await attach('db');
  await agent.establish();
  agent.runCommand = (_request, send) => {
    send({ type: 16, payload: Buffer.from('1') });
    return () => {};
  };
  const incoming = await send({ socketPath: socket }, 'POST', '/vm/db/exec?cmd=sleep');
  incoming.on('error', () => {});
  const lines: string[] = [];
  incoming.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  await daemon.stop();
  assert.match(lines.join(''), /"error"/);
});

test('a start that fails leaves nothing behind, and VMs run on', async (t) => {
  const directory = directoryFor(t);
  const vms = new GuestVms(directory);
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  await assert.rejects(bench(t, {
    directory, vms, config: (config) => ({ ...config, api: { ...config.api, tcp: { address: '127.0.0.1', port } } }),
  }), { code: 'already_running', message: new RegExp(`127\\.0\\.0\\.1:${port}`) });
  assert.equal(vms.closed, 'kept');
  assert.equal(existsSync(join(directory, 'slicer.sock')), false);
  await (await takeLock(join(directory, '.slicer', 'daemon.lock')))();
});

test('the socket of a daemon that died is replaced, one that answers is not', async (t) => {
  const directory = directoryFor(t);
  const socket = join(directory, 'slicer.sock');
  const child = spawn(process.execPath, ['-e', `require('net').createServer().listen('${socket}', () => console.log('up'))`]);
  await once(child.stdout, 'data');
  await assert.rejects(bench(t, { directory }), { code: 'already_running' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal((await (await bench(t, { directory })).api('GET', '/healthz')).status, 200);
});

test('what nobody caught ends the process with its kind and place, and without its text', async (t) => {
  const script = join(directoryFor(t), 'crash.ts');
  const source = (path: string) => JSON.stringify(join(import.meta.dirname, '../../src/daemon', path));
  writeFileSync(script, `
    import { installCrashHandler } from ${source('crash.ts')};
    import { openLog } from ${source('log.ts')};
    installCrashHandler(openLog(undefined));
    setImmediate(() => { throw new TypeError('canary'); });
  `);
  const child = spawn(process.execPath, [script]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  const { level, error, frames } = JSON.parse(output);
  assert.deepEqual([level, error], [60, 'TypeError']);
  assert.match(frames[0], /crash\.ts/);
  assert.doesNotMatch(output, /canary'|: canary/);
  assert.ok(readFileSync(script, 'utf8').includes('canary'));
});
