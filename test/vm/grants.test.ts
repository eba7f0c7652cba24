// What a VM is granted is what it gets, and all that it ever sees.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { oneGroup, withSlicer } from './slicer.ts';

const LIST = 'ls -A /run/slicer/secrets';
const EVERYWHERE = 'find / /run /tmp -xdev -name "*-key"';

const fixture = withSlicer(oneGroup(), {
  prepare: async (slicer) => {
    slicer.put('red-key', 'the red value');
    slicer.put('blue-key', 'the blue value');
  },
});
const { skip } = fixture;

test('two VMs with different grants and a third with none see their own secrets only', { skip }, async () => {
  const { slicer } = fixture;
  const [red, blue, none] = [
    await slicer.launch('--secret=red-key'), await slicer.launch('--secrets', 'blue-key'), await slicer.launch('--no-secrets'),
  ];
  assert.deepEqual([red, blue, none], ['vm-1', 'vm-2', 'vm-3']);
  assert.equal(await slicer.inGuest(red, LIST), 'red-key\n');
  assert.equal(await slicer.inGuest(blue, LIST), 'blue-key\n');
  assert.equal(await slicer.inGuest(none, LIST), '');
  assert.equal(await slicer.inGuest(red, `${EVERYWHERE} | grep -c blue || true`), '0\n');
  assert.equal(await slicer.inGuest(none, `${EVERYWHERE} | grep -c . || true`), '0\n');
});

test('a change, and a secret that is new, reach granted VMs and leave the others untouched', { skip }, async () => {
  const { slicer } = fixture;
  const before = await slicer.inGuest('vm-2', 'stat -c "%i %Y %Z" /run/slicer/secrets/blue-key; slicer-agent secrets list');
  const { stderr } = await slicer.run(['secret', 'update', 'red-key'], { stdin: 'another red value' });
  assert.match(stderr, /\b1\b/, 'update says how many VMs hold the new value');
  await slicer.ok(['secret', 'create', 'green-key'], { stdin: 'the green value' });
  assert.equal(await slicer.inGuest('vm-1', `cat /run/slicer/secrets/red-key; echo; ${LIST}`), 'another red value\nred-key\n');
  assert.equal(await slicer.inGuest('vm-2', 'stat -c "%i %Y %Z" /run/slicer/secrets/blue-key; slicer-agent secrets list'), before);
  assert.equal(await slicer.inGuest('vm-3', LIST), '');
});

test("a VM's sync asks for nothing beyond its grant", { skip }, async () => {
  const { slicer } = fixture;
  for (const [vm, names] of [['vm-1', ['red-key']], ['vm-2', ['blue-key']], ['vm-3', []]] as const) {
    assert.equal(await slicer.inGuest(vm, 'slicer-agent secrets sync'), '');
    const listed = JSON.parse(await slicer.inGuest(vm, 'slicer-agent secrets list --json')) as { name: string }[];
    assert.deepEqual(listed.map(({ name }) => name), names);
  }
});

test('a launch without --secret gets all, secrets that are created later included', { skip }, async () => {
  const { slicer } = fixture;
  const vm = await slicer.launch();
  assert.equal(await slicer.inGuest(vm, LIST), 'blue-key\ngreen-key\nred-key\n');
  await slicer.ok(['secret', 'create', 'later-key'], { stdin: 'the later value' });
  assert.equal(await slicer.inGuest(vm, 'cat /run/slicer/secrets/later-key'), 'the later value');
  await slicer.ok(['vm', 'delete', vm]);
});

test('an unknown name refuses the launch: no VM, no process, nothing on disk', { skip }, async () => {
  const { slicer } = fixture;
  const before = await slicer.ok(['vm', 'list']);
  const { stdout, stderr, exitCode } = await slicer.run(['vm', 'launch', '--secret=red-key,no-such-key']);
  assert.equal(exitCode, 4);
  assert.equal(stdout, '');
  assert.match(stderr, /^slicer: error: .*"no-such-key"/m);
  assert.doesNotMatch(stderr, /red-key/);
  assert.equal(await slicer.ok(['vm', 'list']), before);
  assert.deepEqual(readdirSync(slicer.path('.slicer/vms')).sort(), ['vm-1', 'vm-2', 'vm-3']);
});

test('a granted secret that is removed goes from the guest, and comes back when it is made again', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.ok(['secret', 'remove', 'red-key']);
  assert.equal(await slicer.inGuest('vm-1', LIST), '');
  await slicer.ok(['secret', 'create', 'red-key'], { stdin: 'red again' });
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/red-key'), 'red again');
  assert.equal(await slicer.inGuest('vm-3', LIST), '');
});

test('vm secrets tells for each VM and secret whether the newest value is there', { skip }, async () => {
  const { slicer } = fixture;
  const all = JSON.parse(await slicer.ok(['vm', 'secrets', '--json'])) as { hostname: string; secrets: { name: string; state: string }[] }[];
  const states = all.map(({ hostname, secrets }) => [hostname, secrets.map(({ name, state }) => `${name} ${state}`)]);
  assert.deepEqual(states, [['vm-1', ['red-key current']], ['vm-2', ['blue-key current']], ['vm-3', []]]);
});
