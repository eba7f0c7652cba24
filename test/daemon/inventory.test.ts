// VMs that an inventory declares, under the daemon: named by their instances, with secrets of their own that
// are not the store's, through a restart.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseInventory } from '../../src/config/inventory-load.ts';
import type { DaemonInventory } from '../../src/daemon/inventory-vms.ts';
import { base64, bench, directoryFor, GROUP, type Bench } from './daemon.ts';
import { GuestVms } from './guest-vms.ts';

const CANARY = 'canary-9e21';

function inventory(directory: string, instances: string): DaemonInventory {
  for (const [name, mode] of [['kernel', 0o600], ['key', 0o400]] as const) {
    if (existsSync(join(directory, name))) continue;
    writeFileSync(join(directory, name), `${CANARY}-${name}`);
    chmodSync(join(directory, name), mode);
  }
  const { vms } = parseInventory(`instances:\n${instances}`, { file: 'i.yaml', directory });
  return { vms, env: { PATH: process.env['PATH'] }, uid: process.geteuid?.() as number };
}

const instance = (name: string, settings: string): string =>
  `  ${name}: {roles: {guest: {machines: {host: {settings: {kernel: kernel, mem: 192, ${settings}}}}}}}\n`;
const DB = instance('db', 'watchdog: true, vsock: {cid: 77}, staticOEMStrings: [hello], runtimeSecrets: {key: {secretPath: key, deliver: both}}');

/** Guests that tell what they hold once they have synced. */
function guests(directory: string): { vms: GuestVms; synced: Promise<Record<string, string>> } {
  const vms = new GuestVms(directory);
  const synced = new Promise<Record<string, string>>((resolve) => {
    vms.boot = async (agent) => {
      await agent.establish();
      await agent.sync(true);
      resolve(Object.fromEntries([...agent.held].map(([name, { bytes }]) => [name, bytes.toString()])));
    };
  });
  return { vms, synced };
}

/** What is logged of a VM, as soon as it is. */
async function logged(given: Bench, vm: string, key: 'vm' | 'instance' = 'vm'): Promise<{ msg: string; error?: string }> {
  for (;;) {
    const found = given.log.map((line) => JSON.parse(line) as { vm?: string; instance?: string; msg: string; error?: string }).find((line) => line[key] === vm);
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const LIVE = { key: `${CANARY}-key`, '.cred.key': `${CANARY}-key` };

test('an instance is started under its name, with all that its settings say and the secrets of its files', async (t) => {
  const directory = directoryFor(t);
  const { vms, synced } = guests(directory);
  const given = await bench(t, { directory, vms, groups: [], inventory: inventory(directory, DB) });
  assert.deepEqual(await synced, LIVE);
  const { credentials, ...request } = vms.requests[0] as GuestVms['requests'][number];
  assert.deepEqual(request, {
    group: 'db/host', hostname: 'db', cpus: 1, ramBytes: 192 * 1024 ** 2, vmm: { hypervisor: 'qemu', machine: 'q35' },
    kernel: join(directory, 'kernel'), cmdline: 'console=ttyS0 panic=-1', volumes: [], interfaces: [], shares: [], watchdog: true, guestCid: 77,
    oemStrings: ['hello'], grant: ['key'], tags: [], stopGraceMs: 10_000, liveCredentials: [{ name: 'key', secret: 'key', trimNewline: false }],
  });
  assert.deepEqual(credentials.map(({ name, value }) => [name, Buffer.from(value.reveal()).toString()]), [['key', `${CANARY}-key`]]);
  const { body } = await given.api('GET', '/nodes');
  assert.deepEqual(body.map((node: { hostname: string; hostgroup: string }) => [node.hostname, node.hostgroup]), [['db', 'db/host']]);
  assert.ok(!given.log.join().includes(CANARY));
});

test('a secret of the store with the same name is another one: it neither reaches the VM nor waits for it', async (t) => {
  const directory = directoryFor(t);
  const { vms, synced } = guests(directory);
  const given = await bench(t, { directory, vms, inventory: inventory(directory, DB) });
  await synced;
  const { body } = await given.api('POST', '/secrets?wait=30s', { name: 'key', data: base64('the store\'s') });
  assert.deepEqual(body.delivery, { holding: 0, running: 0, pending: [] });
  assert.equal(vms.guests.get('db')?.agent.held.get('key')?.bytes.toString(), `${CANARY}-key`);
});

test('a daemon that adopts the VM reads its secrets again, and one without the inventory serves it nothing', async (t) => {
  const directory = directoryFor(t);
  const { vms, synced } = guests(directory);
  const declared = inventory(directory, DB);
  const first = await bench(t, { directory, vms, keepVms: true, inventory: declared });
  await first.api('POST', '/secrets', { name: 'key', data: base64('the store\'s') });
  await synced;
  await first.daemon.stop();
  chmodSync(join(directory, 'key'), 0o600);
  writeFileSync(join(directory, 'key'), 'changed');

  const without = await bench(t, { directory, vms, keepVms: true });
  assert.match(String((await logged(without, 'db')).error), /^vm "db" is of an inventory that this daemon was not given$/);
  await without.daemon.stop();

  const agent = vms.guests.get('db')?.agent;
  await bench(t, { directory, vms, keepVms: true, inventory: declared });
  await agent?.establish();
  await agent?.sync(true);
  assert.equal(agent?.held.get('key')?.bytes.toString(), 'changed');
  assert.equal(vms.requests.length, 1);
});

test('an instance that can\'t be started is logged with every problem, and keeps none of the others', async (t) => {
  const directory = directoryFor(t);
  const { vms, synced } = guests(directory);
  const bad = instance('bad', 'vsock: {socket: s}, volumes: [{image: gone.img, autoCreate: false}], runtimeSecrets: {made: , key: {secretPath: gone}}');
  const given = await bench(t, { directory, vms, inventory: inventory(directory, bad + DB) });
  await synced;
  const { msg, error } = await logged(given, 'bad');
  assert.equal(msg, 'this vm did not start');
  for (const fact of [/secret "made": \S+\/vars\/host\/microvm-bad\/made does not exist/, /secret "key": \S+\/gone does not exist/, /the disk \S+gone\.img does not exist/, /vm "bad" has vsock\.socket/]) {
    assert.match(String(error), fact);
  }
  assert.deepEqual(vms.requests.map(({ hostname }) => hostname), ['db']);
});

test('a VM that has the name already is left alone, and the log says so', async (t) => {
  const directory = directoryFor(t);
  const vms = new GuestVms(directory);
  const web = instance('web-1', 'watchdog: true');
  const given = await bench(t, { directory, vms, groups: [{ ...GROUP, count: 1 }], inventory: inventory(directory, web) });
  assert.equal((await logged(given, 'web-1', 'instance')).error, 'there is a vm "web-1" that is not this instance');
  assert.deepEqual(vms.requests.map(({ group }) => group), ['web']);
});
