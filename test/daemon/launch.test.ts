import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { HostGroup } from '../../src/config/config.ts';
import type { ImageName } from '../../image/guest-images.ts';
import { planLaunch, type LaunchHost, type LaunchWish } from '../../src/daemon/launch-plan.ts';
import type { SlicerError } from '../../src/errors/slicer-error.ts';
import type { Snapshot } from '../../src/store/store.ts';
import { HostConnection } from '../live/host-connection.ts';
import { MemoryStore, secretName } from '../live/memory-store.ts';
import { base64, bench, directoryFor, GROUP, MIB } from './daemon.ts';
import { GuestVms, syncing } from './guest-vms.ts';

const snapshotWith = (...names: string[]): Snapshot => {
  const store = new MemoryStore();
  for (const name of names) store.set(name, 'x');
  return store.snapshot();
};
const HOST_RAM = 1024 * MIB;
const HOST: LaunchHost = { ramBytes: HOST_RAM, arch: 'x86_64' };
const names = (...list: string[]) => list.map(secretName);

test('a launch gets what it names, and the rest from its group', () => {
  const group = { ...GROUP, secrets: names('a'), tags: ['blue'], userdata: 'echo group' };
  const rest = { vmm: GROUP.vmm, credentials: [], liveCredentials: [] };
  assert.deepEqual(planLaunch(group, {}, snapshotWith('a', 'b'), HOST), {
    cpus: 2, ramBytes: 256 * MIB, userdata: Buffer.from('echo group'), tags: ['blue'], grant: ['a'], ...rest,
  });
  const wish = { cpus: 4, ramBytes: 64 * MIB, userdata: 'echo own', tags: ['red', 'blue'], secrets: names('b', 'b') };
  assert.deepEqual(planLaunch(group, wish, snapshotWith('a', 'b'), HOST), {
    cpus: 4, ramBytes: 64 * MIB, userdata: Buffer.from('echo own'), tags: ['blue', 'red'], grant: ['b'], ...rest,
  });
});

test('no secrets and all secrets are grants of their own', () => {
  assert.deepEqual(planLaunch(GROUP, { secrets: [] }, snapshotWith('a'), HOST).grant, []);
  assert.equal(planLaunch(GROUP, {}, snapshotWith(), HOST).grant, 'all');
  assert.equal(planLaunch(GROUP, { userdata: '' }, snapshotWith(), HOST).userdata, undefined);
});

test('every unknown name is told, and a size that is not whole', () => {
  assert.throws(() => planLaunch(GROUP, { secrets: names('a', 'b', 'c'), ramBytes: 65 * MIB + 1 }, snapshotWith('b'), HOST), (error: any) => {
    assert.deepEqual(error.problems.map(({ message }: { message: string }) => message), [
      'there is no secret "a"', 'there is no secret "c"', 'ram_bytes is 68157441; a VM takes whole MiB (1048576 bytes)',
    ]);
    return true;
  });
});

const wish = (name: string, secret: string, choices = {}) =>
  ({ name, secret: secretName(secret), trimNewline: false, allowEmpty: false, allowReserved: false, ...choices });

test('credentials are those of the launch, or of its group; no grant takes them away or adds to it', () => {
  const store = new MemoryStore();
  store.set('a', 'value\n');
  store.set('b', 'other');
  const group = { ...GROUP, credentials: [wish('A', 'a', { trimNewline: true }), wish('ALSO', 'a')] };
  const given = (launch: object) => {
    const { grant, credentials } = planLaunch(group, { secrets: [], ...launch }, store.snapshot(), HOST);
    return { grant, credentials: credentials.map(({ name, secret, value }) => [name, secret, Buffer.from(value.reveal()).toString()]) };
  };
  assert.deepEqual(given({}), { grant: [], credentials: [['A', 'a', 'value'], ['ALSO', 'a', 'value\n']] });
  assert.deepEqual(given({ credentials: [wish('B', 'b')] }), { grant: [], credentials: [['B', 'b', 'other']] });
  assert.deepEqual(given({ credentials: [] }), { grant: [], credentials: [] });
});

test('credentials reach the VM with their values, and the API with their names', async (t) => {
  const { api, vms, log } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('canary-of-a\n') });
  await api('POST', '/secrets', { name: 'b', data: base64('canary-of-b') });
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=agent', {
    secrets: ['b'], credentials: [{ name: 'A_KEY', secret: 'a', trimNewline: true }, { name: 'ssh.listen', secret: 'b', allowReserved: true }],
  });
  assert.equal(status, 201);
  assert.deepEqual([body.hypervisor, body.secrets, body.credentials], ['qemu', ['b'], [
    { name: 'A_KEY', secret: 'a', deliver: 'boot' }, { name: 'ssh.listen', secret: 'b', deliver: 'boot' },
  ]]);
  assert.deepEqual((await api('GET', '/nodes')).body[0].credentials, body.credentials);
  assert.deepEqual(vms.requests[0]?.credentials.map(({ value }) => Buffer.from(value.reveal()).toString()), ['canary-of-a', 'canary-of-b']);
  assert.deepEqual([...vms.guests.get('web-1')?.agent.held.keys() ?? []], ['b']);
  assert.deepEqual((await api('GET', '/vm/web-1/secrets')).body.secrets.map(({ name }: { name: string }) => name), ['b']);
  assert.ok(!`${log.join('')}${JSON.stringify([body, vms.requests])}`.includes('canary'));
});

test('a launch whose credentials do not fit is refused with every problem, before anything is made', async (t) => {
  const { api, vms, log } = await bench(t);
  await api('POST', '/secrets', { name: 'big', data: base64('canary'.repeat(10_000)) });
  await api('POST', '/secrets', { name: 'empty', data: '' });
  const { status, body } = await api('POST', '/hostgroup/web/nodes', {
    secrets: ['gone'],
    credentials: [
      { name: 'canary/name', secret: 'empty', allowEmpty: true }, { name: 'passwd.x', secret: 'empty', allowEmpty: true }, { name: 'E', secret: 'empty' },
      { name: 'E', secret: 'absent' }, { name: 'BIG', secret: 'big' },
    ],
  });
  assert.equal(status, 404);
  assert.deepEqual(body.problems.map(({ code }: { code: string }) => code), [
    'secret_not_found', 'invalid_name', 'invalid_name', 'invalid_request', 'empty_value', 'secret_not_found', 'value_too_large',
  ]);
  assert.equal(body.problems.at(-1).hint, 'deliver this one over the live channel: deliver: live, or as a file: --secret=big');
  assert.equal(vms.requests.length, 0);
  assert.ok(!`${log.join('')}${JSON.stringify(body)}`.includes('canary'));
});

for (const [what, credentials, message] of [
  ['a misspelt choice', [{ name: 'A', secret: 'a', trimnewline: true }], 'unknown field "trimnewline"'],
  ['a value where a name belongs', [{ name: 'A', secret: 'canary/value' }], 'credentials[0].secret must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot'],
  ['a name alone', ['canary/value'], 'credentials[0] must be a credential: an object with name and secret'],
  ['a text', 'canary/value', 'credentials must be a list of credentials'],
  ['another channel', [{ name: 'A', secret: 'a', deliver: 'canary' }], 'credentials[0].deliver must be boot, live or both'],
] as const) {
  test(`a launch with ${what} for a credential is refused`, async (t) => {
    const { api } = await bench(t);
    const { status, body } = await api('POST', '/hostgroup/web/nodes', { credentials });
    assert.deepEqual([status, body.error], [400, message]);
  });
}

test('a VM runs on what its launch names, or on what its group says; the group\'s machine goes with the group\'s hypervisor', () => {
  const on = (vmm: HostGroup['vmm'], launch: LaunchWish) => planLaunch({ ...GROUP, vmm }, launch, snapshotWith(), HOST).vmm;
  const [q35, microvm] = (['q35', 'microvm'] as const).map((machine) => ({ hypervisor: 'qemu' as const, machine }));
  const firecracker = { hypervisor: 'firecracker', machine: 'q35' } as const;
  assert.ok(q35 !== undefined && microvm !== undefined);
  assert.deepEqual([on(microvm, {}), on(firecracker, {})], [microvm, firecracker]);
  assert.deepEqual([on(q35, { machine: 'microvm' }), on(microvm, { machine: 'q35' }), on(microvm, { hypervisor: 'qemu' })], [microvm, q35, microvm]);
  assert.deepEqual([on(microvm, { hypervisor: 'firecracker' }), on(firecracker, { hypervisor: 'qemu' })], [firecracker, q35]);
});

test('a VM boots the image that its launch names, by name alone, or the one that its group says', async (t) => {
  const { api, vms } = await bench(t);
  for (const [body, expected] of [[{}, '/tiny'], [{ image: 'debian' }, '/debian'], [{ image: 'tiny' }, '/tiny']] as const) {
    assert.equal((await api('POST', '/hostgroup/web/nodes', body)).status, 201);
    assert.equal(vms.requests.at(-1)?.initrd, expected);
  }
  const { status, body } = await api('POST', '/hostgroup/web/nodes', { image: '/etc/shadow' });
  assert.deepEqual([status, body.error], [400, 'image must be tiny or debian']);
});

test('what is QEMU\'s alone is refused by name with another hypervisor', () => {
  const refused = (group: Partial<HostGroup>, launch: LaunchWish): string[] => {
    try {
      planLaunch({ ...GROUP, ...group }, launch, snapshotWith(), HOST);
    } catch (error) {
      return (error as SlicerError).problems.map(({ message, hint = '' }) => `${message}; ${hint}`);
    }
    return [];
  };
  for (const hypervisor of ['cloud-hypervisor', 'firecracker'] as const) {
    assert.deepEqual(refused({}, { hypervisor, machine: 'q35' }), [`machine is QEMU's, and hypervisor is ${hypervisor}; leave machine out`]);
    assert.deepEqual(refused({ network: 'user' }, { hypervisor }), [
      `host group "web" has network: user, which is QEMU's own network stack, and hypervisor is ${hypervisor}; `
        + 'launch it with hypervisor qemu, or in a host group with network: none',
    ]);
    assert.deepEqual(refused({}, { hypervisor }), []);
  }
  assert.deepEqual(refused({ network: 'user' }, { machine: 'microvm' }), []);
});

test('a credential goes live where there is no boot channel, or where it is asked to', () => {
  const store = new MemoryStore();
  store.set('a', 'value\n');
  const given = (launch: LaunchWish, host: Partial<LaunchHost> = {}) => {
    const { credentials, liveCredentials } = planLaunch(GROUP, launch, store.snapshot(), { ...HOST, ...host });
    return { boot: credentials.map(({ name, value }) => [name, value.sizeBytes]), live: liveCredentials };
  };
  const trimmed = wish('A', 'a', { trimNewline: true });
  const live = [{ name: 'A', secret: secretName('a'), trimNewline: true }];
  assert.deepEqual(given({ credentials: [trimmed] }), { boot: [['A', 5]], live: [] });
  assert.deepEqual(given({ credentials: [{ ...trimmed, deliver: 'live' }] }), { boot: [], live });
  assert.deepEqual(given({ credentials: [{ ...trimmed, deliver: 'both' }] }), { boot: [['A', 5]], live });
  assert.deepEqual(given({ credentials: [trimmed], hypervisor: 'firecracker' }), { boot: [], live });
  assert.deepEqual(given({ credentials: [trimmed], hypervisor: 'cloud-hypervisor' }, { arch: 'aarch64' }), { boot: [], live });
  assert.throws(() => given({ credentials: [{ ...trimmed, deliver: 'boot' }], hypervisor: 'firecracker' }), /Firecracker has no boot channel/);
});

test('hypervisor, machine and channels of a launch are those of its request, and the API shows them', async (t) => {
  const { api, vms } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('x') });
  const { status, body } = await api('POST', '/hostgroup/web/nodes', {
    secrets: [], hypervisor: 'qemu', machine: 'microvm',
    credentials: (['boot', 'live', 'both'] as const).map((deliver) => ({ name: deliver, secret: 'a', deliver })),
  });
  assert.equal(status, 201);
  assert.deepEqual(vms.requests[0]?.vmm, { hypervisor: 'qemu', machine: 'microvm' });
  assert.deepEqual(vms.requests[0]?.credentials.map(({ name }) => name), ['boot', 'both']);
  assert.deepEqual([body.hypervisor, body.credentials], ['qemu', ['boot', 'both', 'live'].map((deliver) => ({ name: deliver, secret: 'a', deliver }))]);
  for (const [request, message] of [
    [{ hypervisor: 'xen' }, 'hypervisor must be qemu, cloud-hypervisor or firecracker'], [{ machine: 'pc' }, 'machine must be q35 or microvm'],
  ] as const) {
    const refused = await api('POST', '/hostgroup/web/nodes', request);
    assert.deepEqual([refused.status, refused.body.error], [400, message]);
  }
});

test('the VMs of a group are started with its credentials', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  const place = directoryFor(t);
  mkdirSync(join(place, '.secrets'), { mode: 0o700 });
  writeFileSync(join(place, '.secrets', 'a'), 'value', { mode: 0o600 });
  const started = new Promise<void>((resolve) => vms.onChange((_hostname, vm) => {
    if (vm?.status === 'running') resolve();
  }));
  await bench(t, { vms, directory: place, groups: [{ ...GROUP, count: 1, secrets: [], credentials: [wish('A', 'a')] }] });
  await started;
  assert.deepEqual(vms.requests.map(({ credentials }) => credentials.map(({ name, value }) => [name, value.sizeBytes])), [[['A', 5]]]);
});

test('a VM has 64 MiB at least, 128 with the Debian image, and no more than the machine', () => {
  const planned = (ramBytes: number, image: ImageName = 'tiny') => planLaunch(GROUP, { ramBytes, image }, snapshotWith(), HOST).ramBytes;
  assert.equal(planned(64 * MIB), 64 * MIB);
  assert.equal(planned(HOST_RAM), HOST_RAM);
  assert.throws(() => planned(63 * MIB), /64 MiB of memory to the 1024 MiB that this machine has, not 63 MiB/);
  assert.throws(() => planned(127 * MIB, 'debian'), /128 MiB of memory to the 1024 MiB that this machine has, not 127 MiB/);
  assert.doesNotThrow(() => planned(128 * MIB, 'debian'));
  assert.throws(() => planned(HOST_RAM + MIB), /not 1025 MiB/);
});

test('a launch with an unknown secret is refused before anything is made', async (t) => {
  const { api, vms } = await bench(t);
  const { status, body } = await api('POST', '/hostgroup/web/nodes', { secrets: ['nope', 'neither'] });
  assert.deepEqual([status, body.code, body.problems.length], [404, 'secret_not_found', 2]);
  assert.equal(vms.requests.length, 0);
  assert.deepEqual((await api('GET', '/nodes')).body, []);
});

test('a launch that waits for the agent answers once the secrets are in place', async (t) => {
  const { api, vms } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('1') });
  await api('POST', '/secrets', { name: 'b', data: base64('2') });
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=agent&timeout=30s', { secrets: ['a'], tags: ['blue'], cpus: 1 });
  assert.equal(status, 201);
  assert.deepEqual([body.hostname, body.hostgroup, body.status, body.secrets, body.tags, body.cpus, body.attached], ['web-1', 'web', 'Running', ['a'], ['blue'], 1, false]);
  assert.deepEqual([...vms.guests.get('web-1')?.agent.held.keys() ?? []], ['a']);
  const { body: status1 } = await api('GET', '/vm/web-1/secrets');
  assert.deepEqual([status1.connected, status1.synced, status1.secrets[0].state], [true, true, 'current']);
  assert.deepEqual((await api('GET', '/nodes/secrets')).body, [status1]);
});

test('a body is not needed: the group says everything', async (t) => {
  const { api, vms } = await bench(t, { groups: [{ ...GROUP, userdata: '#!/bin/sh\n' }] });
  assert.equal((await api('POST', '/hostgroup/web/nodes')).status, 201);
  assert.equal(vms.requests[0]?.userdata?.toString(), '#!/bin/sh\n');
});

test('a VM that is not ready in time is deleted, and the answer says what it lacked', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  vms.boot = async () => {};
  const { api } = await bench(t, { vms });
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=agent&timeout=20ms');
  assert.deepEqual([status, body.code], [408, 'wait_timeout']);
  assert.match(body.error, /its agent has not connected/);
  assert.deepEqual((await api('GET', '/nodes')).body, []);
  const [, kept] = /^see what its console said: (.+\/late-launch\.log)$/.exec(body.hint) as unknown as [string, string];
  assert.equal(readFileSync(kept, 'utf8'), 'console of web-1\n');
});

test('a VM that ends while it is waited for fails the launch, and stays to be looked at', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  vms.boot = async (_agent, all, hostname) => void all.change(hostname, { status: 'failed', reason: 'its VMM ended with exit code 1', lastConsoleLines: ['panic'] });
  const { api } = await bench(t, { vms });
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=agent&timeout=1h');
  assert.deepEqual([status, body.code], [500, 'launch_failed']);
  assert.match(body.error, /its VMM ended with exit code 1/);
  const [node] = (await api('GET', '/nodes')).body;
  assert.deepEqual([node.status, node.error, node.console], ['Failed', 'its VMM ended with exit code 1', 'panic']);
  assert.deepEqual([...(await api('GET', '/vm/web-1/health')).text.matchAll(/"code":"(\w+)"/g)].map(([, code]) => code), ['vm_not_running']);
});

test('userdata runs once after the secrets, and its exit code shows', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  vms.boot = async (agent, all, hostname) => {
    await syncing(agent, all, hostname);
    const connection = new HostConnection(await agent.device.dialHost());
    const authorization = { Authorization: `Bearer ${agent.sessionKey}` };
    const { status, body } = await connection.request('POST /v1/userdata', authorization);
    assert.deepEqual([status, body.toString()], [200, 'echo hi']);
    await connection.request('PUT /v1/userdata', authorization, { exit_code: 3, output: 'canary of the script' });
  };
  const { api, log } = await bench(t, { vms });
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=userdata', { userdata: 'echo hi' });
  assert.deepEqual([status, body.userdata_exit_code], [201, 3]);
  assert.ok(!log.join('').includes('canary'));
});

test('a VM whose script does not end in time is deleted', async (t) => {
  const { api } = await bench(t);
  const { status, body } = await api('POST', '/hostgroup/web/nodes?wait=userdata&timeout=300ms', { userdata: 'sleep 1000' });
  assert.equal(status, 408);
  assert.match(body.error, /userdata is not begun/);
});

test('the VMs that a group asks for are started, those that run stay, those that ended are replaced', async (t) => {
  const place = directoryFor(t);
  const vms = new GuestVms(place);
  await vms.launch({ ...launched, hostname: 'web-1' }, { beforeStart: async () => {} });
  await vms.launch({ ...launched, hostname: 'web-2' }, { beforeStart: async () => {} });
  vms.change('web-2', { status: 'failed' });
  const started = new Promise<void>((resolve) => vms.onChange((hostname, vm) => {
    if (hostname === 'web-3' && vm?.status === 'running') resolve();
  }));
  const { api } = await bench(t, { vms, groups: [{ ...GROUP, count: 3 }] });
  await started;
  const { body } = await api('GET', '/hostgroup/web/nodes');
  assert.deepEqual(body.map((node: { hostname: string; status: string }) => [node.hostname, node.status]).sort(), [['web-1', 'Running'], ['web-2', 'Running'], ['web-3', 'Running']]);
  assert.equal(vms.requests.length, 4);
  assert.deepEqual((await api('GET', '/hostgroup')).body, [{ name: 'web', count: 3, ram_bytes: 256 * MIB, cpus: 2, gpu_count: 0, arch: body[0].arch }]);
});

test('a VM that runs already is adopted: its agent gets a session and its grant', async (t) => {
  const vms = new GuestVms(directoryFor(t));
  vms.boot = async () => {};
  await vms.launch({ ...launched, hostname: 'web-1', grant: names('a') }, { beforeStart: async () => {} });
  const agent = vms.guests.get('web-1')?.agent;
  assert.ok(agent);
  agent.wantsSession = true;
  const offered = agent.saw('PUT /v1/session');
  const { api } = await bench(t, { vms });
  await offered;
  await api('POST', '/secrets', { name: 'a', data: base64('1') });
  await api('POST', '/secrets', { name: 'b', data: base64('2') });
  assert.equal(await agent.sync(), 200);
  assert.deepEqual([...agent.held.keys()], ['a']);
});

test('tags find VMs, and a group lists its own', async (t) => {
  const { api, attach } = await bench(t, { groups: [GROUP, { ...GROUP, name: 'db' }] });
  await api('POST', '/hostgroup/web/nodes', { tags: ['team=blue'] });
  await api('POST', '/hostgroup/db/nodes', { tags: ['team=red'] });
  await attach('aaa');
  const hostnames = async (path: string) => (await api('GET', path)).body.map(({ hostname }: { hostname: string }) => hostname);
  assert.deepEqual(await hostnames('/nodes'), ['web-1', 'db-2', 'aaa']);
  assert.deepEqual(await hostnames('/nodes?tag=team%3Dred'), ['db-2']);
  assert.deepEqual(await hostnames('/nodes?tag_prefix=team'), ['web-1', 'db-2']);
  assert.deepEqual(await hostnames('/hostgroup/db/nodes'), ['db-2']);
  assert.equal((await api('GET', '/hostgroup/nope/nodes')).body.code, 'group_not_found');
});

test('a deleted VM is gone, with its channel; one of another group is not found', async (t) => {
  const { api } = await bench(t, { groups: [GROUP, { ...GROUP, name: 'db' }] });
  await api('POST', '/hostgroup/web/nodes?wait=agent');
  assert.equal((await api('DELETE', '/hostgroup/db/nodes/web-1')).body.code, 'vm_not_found');
  const { status, body } = await api('DELETE', '/hostgroup/web/nodes/web-1');
  assert.deepEqual([status, body], [200, { message: 'Node deleted', disk_removed: 'true' }]);
  assert.equal((await api('DELETE', '/nodes/web-1')).status, 404);
  assert.equal((await api('GET', '/vm/web-1/secrets')).status, 404);
});

test('an attached VM is served until it is let go, and its name is its own', async (t) => {
  const { api, attach, directory: place } = await bench(t);
  await api('POST', '/secrets', { name: 'a', data: base64('1') });
  const agent = await attach('db', ['a']);
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  assert.equal((await api('POST', '/nodes', { hostname: 'db', vsock: `${place}/other` })).body.code, 'vm_exists');
  assert.equal((await api('POST', '/nodes', { hostname: 'db2', vsock: `${place}/other`, secrets: ['nope'] })).body.code, 'secret_not_found');
  assert.deepEqual((await api('DELETE', '/nodes/db')).body, { message: 'Node deleted', disk_removed: 'false' });
  await assert.rejects(agent.sync());
});

test('an attachment that cannot be served is undone', async (t) => {
  const { api } = await bench(t);
  const { status, body } = await api('POST', '/nodes', { hostname: 'db', vsock: '/nonexistent/vm.vsock' });
  assert.deepEqual([status, body.code], [400, 'invalid_request']);
  assert.deepEqual((await api('GET', '/nodes')).body, []);
});

const launched = {
  group: 'web', cpus: 1, ramBytes: MIB, kernel: '', initrd: '', cmdline: '', vmm: GROUP.vmm, volumes: [], interfaces: [], liveCredentials: [], grant: 'all', credentials: [], tags: [], stopGraceMs: 0,
} as const;
