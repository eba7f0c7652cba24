// VMs that something else started: Slicer knows a socket and a grant, and serves them all the same.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, test } from 'node:test';
import { startForeignVm, type ForeignVm } from './foreign-vm.ts';
import { compileAttacker } from './guest-programs.ts';
import { MISSING_COMPILER } from './parts.ts';
import { formsOf } from './search.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const CANARY = 'canary-77aa-of-the-attached-vm';

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_COMPILER,
  prepare: async (slicer) => {
    slicer.put('granted', CANARY);
    slicer.put('other', 'not for the attached vm');
  },
});
const { skip } = fixture;

let started: ForeignVm | undefined;
after(async () => started?.stop());

/** The VM that the first test starts. */
function foreign(): ForeignVm {
  assert.ok(started);
  return started;
}

test('slicer attach --url registers a VM with a daemon, which serves it its grant', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch('--no-secrets'), 'vm-1');
  started = await startForeignVm(slicer.path('.slicer/vms/vm-1'));
  await slicer.ok(['attach', '--url=./slicer.sock', '--name=stranger', `--vsock=${foreign().vsockPath}`, '--secret=granted']);
  await slicer.untilHolds('stranger');
  assert.equal(await slicer.inGuest('stranger', 'cd /run/slicer/secrets && ls && cat granted'), `granted\n${CANARY}`);
});

test('an attached VM gets changes, and is listed with what it may have', { skip }, async () => {
  const { slicer } = fixture;
  const { stderr } = await slicer.run(['secret', 'update', 'granted'], { stdin: `${CANARY} changed` });
  assert.match(stderr, /1 of 1/);
  assert.equal(await slicer.inGuest('stranger', 'cat /run/slicer/secrets/granted'), `${CANARY} changed`);
  assert.match(await slicer.ok(['vm', 'list']), /^stranger .*attached.*granted/m);
});

test('an attached VM is adopted by the next daemon', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.stop('SIGKILL');
  await slicer.start();
  await slicer.untilHolds('stranger');
  const { stderr } = await slicer.run(['secret', 'update', 'granted'], { stdin: CANARY });
  assert.match(stderr, /1 of 1/);
});

test('without a boot channel an ordinary user in the guest gets nothing either', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.push('stranger', compileAttacker(), '/tmp/attacker');
  await slicer.inGuest('stranger', 'modprobe vsock_loopback');
  for (const words of [['ask', '0'.repeat(64), ''], ['pose'], ['agent', 'empty-token'], ['ports', '900', '901']]) {
    const output = await slicer.ok(['vm', 'exec', 'stranger', '--uid=1000', '--', '/tmp/attacker', ...words]);
    for (const form of formsOf(CANARY)) assert.ok(!output.includes(form), output);
    assert.doesNotMatch(output, /HTTP\/1\.1 2/);
  }
});

test('deleting an attached VM lets go of it: it runs on, and its socket is gone', { skip }, async () => {
  const { slicer } = fixture;
  // For the next test: tells on the console when the guest has a value that only that test gives out.
  await slicer.inGuest('stranger', `setsid sh -c 'until grep -q "by hand" /run/slicer/secrets/granted; do usleep 50000; done;`
    + ` (ls /run/slicer/secrets; echo has the value by hand) > /dev/console' > /dev/null 2>&1 < /dev/null &`);
  await slicer.ok(['vm', 'delete', 'stranger']);
  assert.ok(foreign().isAlive());
  assert.equal(existsSync(`${foreign().vsockPath}_901`), false);
  assert.doesNotMatch(await slicer.ok(['vm', 'list']), /stranger/);
});

test('slicer attach in the foreground serves it without a daemon, until it is told to stop', { skip }, async () => {
  const { slicer } = fixture;
  const attach = slicer.spawn(['attach', '--name=stranger', `--vsock=${foreign().vsockPath}`, '--secret=granted']);
  try {
    slicer.put('granted', `${CANARY} by hand`);
    await foreign().untilConsole(/^granted\r?\nhas the value by hand/m);
    attach.kill('SIGTERM');
    assert.deepEqual(await once(attach, 'exit'), [0, null]);
  } finally {
    attach.kill('SIGKILL');
  }
  assert.ok(foreign().isAlive());
  assert.deepEqual(readdirSync(dirname(foreign().vsockPath)).sort(), ['control.sock', 'vhost.sock', 'vm.vsock']);
});

test('in a guest without a VSOCK device the agent dials nobody, and the loopback transport is no way in', { skip }, async () => {
  const attacks = ['#!/bin/sh', 'chmod 755 /attacker', 'cd /',
    'for command in "ports 900 901 1024" "ask" "pose"; do su -s /bin/sh -c "/attacker $command" ubuntu; done > /dev/console 2>&1',
    'lsmod > /dev/console', 'echo attacks are over > /dev/console', ''].join('\n');
  const lone = await startForeignVm(fixture.slicer.path('.slicer/vms/vm-1'), {
    vsock: false,
    files: [
      { type: 'file', path: 'etc/init.d/late', mode: 0o755, data: Buffer.from(attacks) },
      { type: 'file', path: 'attacker', mode: 0o755, data: compileAttacker() },
    ],
  });
  try {
    await lone.untilConsole(/slicer-agent: .*vsock/i);
    const said = await lone.untilConsole(/attacks are over/);
    assert.match(said, /^bind 900: EACCES\r?$/m);
    assert.match(said, /^vsock_loopback /m);
    const outcomes = said.split(/\r?\n/).filter((line) => /^(GET|PUT|POST|pose|then) /.test(line));
    assert.ok(outcomes.length > 10);
    assert.deepEqual(outcomes.filter((line) => !/: (nothing|E[A-Z]+)$/.test(line)), []);
  } finally {
    await lone.stop();
  }
});
