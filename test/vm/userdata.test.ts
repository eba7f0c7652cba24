// Userdata: a script that a VM runs once, after its secrets are in place; and the launches that wait for it.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { outputWithoutAgent, runWithoutAgent } from './guest-programs.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const fixture = withSlicer(oneGroup(), {
  prepare: async (slicer) => slicer.put('database-password', 'of the database'),
});
const { skip } = fixture;

const node = async (hostname: string): Promise<any> =>
  (await fixture.slicer.api('GET', '/nodes')).body.find((each: { hostname: string }) => each.hostname === hostname);

test('userdata runs once, as root, and finds its secrets in place', { skip }, async () => {
  const { slicer } = fixture;
  writeFileSync(slicer.path('setup.sh'), [
    '#!/bin/sh',
    'echo "userdata ran as $(id -u) in $(pwd)"',
    'cp /run/slicer/secrets/database-password /tmp/seen',
    'echo run >> /tmp/runs',
    'exit 3',
    '',
  ].join('\n'));
  const vm = JSON.parse(await slicer.ok(['vm', 'launch', '--wait-userdata', '--timeout=120s', '--json', '--userdata-file=setup.sh'])).hostname;
  assert.equal(vm, 'vm-1');
  assert.equal(await slicer.inGuest(vm, 'cat /tmp/seen; echo; cat /tmp/runs'), 'of the database\nrun\n');
});

test('its exit code and output are in health and in the log', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal((await node('vm-1')).userdata_exit_code, 3);
  const { body } = await slicer.api('GET', '/vm/vm-1/health');
  assert.deepEqual([body.userdata_ran, body.userdata_exit_code], [true, 3]);
  assert.match(await slicer.ok(['vm', 'health', 'vm-1']), / ran, exit code 3$/m);
  assert.match(await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']), /userdata ran as 0 in \/[^]*userdata ended with exit code 3/);
});

test('it does not run again when the agent starts again', { skip }, async () => {
  const { slicer } = fixture;
  await runWithoutAgent(slicer, 'vm-1', 'true');
  await outputWithoutAgent(slicer, 'vm-1');
  await slicer.ok(['secret', 'update', 'database-password'], { stdin: 'changed' });
  assert.equal(await slicer.inGuest('vm-1', 'cat /tmp/runs'), 'run\n');
  assert.equal((await slicer.api('GET', '/vm/vm-1/health')).body.agent_version.length > 0, true);
});

test('a script without #! runs in a shell, and --wait-userdata is done when it fails to run too', { skip }, async () => {
  const { slicer } = fixture;
  const vm = JSON.parse(await slicer.ok(['vm', 'launch', '--wait-userdata', '--timeout=120s', '--json', '--userdata=echo plain > /tmp/plain'])).hostname;
  assert.equal(await slicer.inGuest(vm, 'cat /tmp/plain'), 'plain\n');
  assert.equal((await node(vm)).userdata_exit_code, 0);
  await slicer.ok(['vm', 'delete', vm]);
  const other = JSON.parse(await slicer.ok(['vm', 'launch', '--wait-userdata', '--timeout=120s', '--json', '--userdata=#!/no/such/interpreter\n'])).hostname;
  assert.equal((await node(other)).userdata_exit_code, 126);
  await slicer.ok(['vm', 'delete', other]);
});

test('userdata is on no command line, neither of the VMM nor of the kernel', { skip }, async () => {
  const { slicer } = fixture;
  assert.doesNotMatch(await slicer.inGuest('vm-1', 'cat /proc/cmdline'), /userdata|setup|base64/);
});

test('a wait that runs out ends with code 7, and the VM is cleaned up', { skip }, async () => {
  const { slicer } = fixture;
  const { exitCode, stderr, stdout } = await slicer.run(['vm', 'launch', '--wait-userdata', '--timeout=6s', '--userdata=sleep 1000']);
  assert.equal(exitCode, 7);
  assert.equal(stdout, '');
  assert.match(stderr, /^slicer: error: /);
  assert.deepEqual((await slicer.api('GET', '/nodes')).body.map(({ hostname }: { hostname: string }) => hostname), ['vm-1']);
  assert.deepEqual(readdirSync(slicer.path('.slicer/vms')), ['vm-1']);
});

test('through the API the same is 408 with a code', { skip }, async () => {
  const { slicer } = fixture;
  const { status, body } = await slicer.api('POST', '/hostgroup/vm/nodes?wait=agent&timeout=50ms', {});
  assert.equal(status, 408);
  assert.equal(body.code, 'wait_timeout');
  assert.equal((await slicer.api('GET', '/nodes')).body.length, 1);
});
