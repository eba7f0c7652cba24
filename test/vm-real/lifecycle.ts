// A VM's life on a real VMM, as a user sees it: the same for all of them, but where a VMM can't do a thing.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { openSync, readFileSync, closeSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findTinyImage } from '../../image/tiny.ts';
import { allProcesses } from '../vm/processes.ts';
import { filesBelow } from '../vm/search.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';
import { groupLines, missingFor, type Variant } from './variant.ts';

const SECRETS = '/run/slicer/secrets';
const CREDENTIAL = randomBytes(20_000);
const KEY = 'the key of the first VM, which nobody else may see';
const OTHER = 'the key of the second VM, which nobody else may see';

/** Where root of the tiny image finds the credential DB, and its bytes there. */
const CREDENTIAL_FILES = {
  smbios: '/sys/firmware/dmi/entries/11-0/raw',
  'fw-cfg': '/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/DB/raw',
  live: '/run/credstore/DB',
} as const;

export async function testLifecycle(variant: Variant): Promise<void> {
  const { title, hypervisor, machine } = variant;
  const missing = await missingFor(variant);
  if (missing !== false) {
    test(`a VM's life on ${title}`, { skip: missing });
    return;
  }
  if (variant.vsock !== undefined) process.env['SLICER_VSOCK'] = variant.vsock;
  const channel = hypervisor === 'firecracker' ? 'live' : machine === 'microvm' ? 'fw-cfg' : 'smbios';
  const restarts = hypervisor !== 'firecracker';
  // By its path: of an image of the user's own nothing is known, so it is asked to power off before it is ended.
  const image = (await findTinyImage()).initrd;
  const fixture = withSlicer(oneGroup('secrets: none', ...groupLines(variant)).replace('image: tiny', `image: ${image}`), {
    skip: false,
    prepare: async (slicer) => {
      slicer.put('key', KEY);
      slicer.put('other', OTHER);
      slicer.put('db', CREDENTIAL);
    },
  });

  const statusOf = async (vm: string): Promise<string | undefined> => {
    const listed = JSON.parse(await fixture.slicer.ok(['vm', 'list', '--json'])) as { hostname: string; status: string }[];
    return listed.find(({ hostname }) => hostname === vm)?.status;
  };
  const untilStopped = async (vm: string): Promise<void> => {
    for (let round = 0; round < 120 && await statusOf(vm) === 'Running'; round += 1) await delay(250);
    assert.equal(await statusOf(vm), 'Stopped', fixture.slicer.daemonOutput);
  };

  test(`${title}: two VMs boot side by side, each with the secrets that it is granted`, async () => {
    const { slicer } = fixture;
    const vms = await Promise.all([slicer.launch('--secret=key', '--credential=DB=db'), slicer.launch('--secret=other')]);
    assert.deepEqual([...vms].sort(), ['vm-1', 'vm-2']);
    assert.equal(await slicer.inGuest(vms[0], `cd ${SECRETS} && stat -c '%n %a %u' * && cat *`), `key 600 0\n${KEY}`);
    assert.equal(await slicer.inGuest(vms[1], `cd ${SECRETS} && stat -c '%n %a %u' * && cat *`), `other 600 0\n${OTHER}`);
  });

  test(`${title}: a credential arrives byte for byte, for root alone`, async () => {
    const { slicer } = fixture;
    const vm = await holderOf('key');
    const path = CREDENTIAL_FILES[channel];
    const { stdoutBytes, stderr } = await slicer.run(['vm', 'exec', vm, '--', 'cat', path]);
    assert.equal(stderr, '');
    if (channel === 'smbios') {
      const [, encoded] = /io\.systemd\.credential\.binary:DB=([A-Za-z0-9+/]*=*)\0/.exec(stdoutBytes.toString('latin1')) ?? [];
      assert.deepEqual(Buffer.from(encoded ?? '', 'base64'), CREDENTIAL);
    } else {
      assert.deepEqual(stdoutBytes, CREDENTIAL);
    }
    const user = await slicer.run(['vm', 'exec', vm, '--uid=1000', '--', 'head', '-c', '16', path]);
    assert.deepEqual([user.exitCode === 0, user.stdout], [false, '']);
    assert.equal(await slicer.inGuest(vm, `cat /proc/cmdline | grep -c ${CREDENTIAL.toString('base64').slice(0, 40)}; true`), '0\n');
  });

  test(`${title}: a command in the guest has its input, its output and its exit code`, async () => {
    const { slicer } = fixture;
    const input = randomBytes(300_000);
    const { stdoutBytes, exitCode } = await slicer.run(['vm', 'exec', 'vm-1', '--', 'sh', '-c', 'cat; exit 7'], { stdin: input });
    assert.deepEqual([stdoutBytes.equals(input), exitCode], [true, 7]);
  });

  test(`${title}: a change reaches the guest that is granted the secret`, async () => {
    const { slicer } = fixture;
    const vm = await holderOf('key');
    await slicer.ok(['secret', 'update', 'key'], { stdin: `${KEY}, changed` });
    await slicer.untilHolds(vm);
    assert.equal(await slicer.inGuest(vm, `cat ${SECRETS}/key`), `${KEY}, changed`);
  });

  test(`${title}: no argument, environment, log or file of the host has a value`, () => {
    const { slicer } = fixture;
    const places = [
      ...allProcesses().flatMap(({ pid, cmdline, environ }) => [{ where: `arguments of ${pid}`, bytes: cmdline }, { where: `environment of ${pid}`, bytes: environ }]),
      ...filesBelow(slicer.directory, (path) => path === slicer.path('.secrets')),
      ...slicer.runtimeDirectories().flatMap((directory) => [...filesBelow(directory)]),
      { where: "the daemon's log", bytes: Buffer.from(slicer.daemonOutput) },
    ].map(({ where, bytes }) => ({ where, text: bytes.toString('latin1') }));
    assert.ok(places.some(({ where }) => where.endsWith('vm.json')));
    for (const value of [Buffer.from(KEY), Buffer.from(OTHER), CREDENTIAL.subarray(0, 300), CREDENTIAL.subarray(-300)]) {
      for (const encoding of ['latin1', 'base64', 'hex'] as const) {
        // Without the end, which base64 writes in another way when more follows.
        const written = value.toString(encoding).slice(0, 40);
        assert.deepEqual(places.filter(({ text }) => text.includes(written)).map(({ where }) => where), []);
      }
    }
  });

  test(`${title}: ${restarts ? 'a guest that restarts has its secrets again' : 'a guest that restarts has ended its VM'}`, async () => {
    const { slicer } = fixture;
    const vm = await holderOf('key');
    await slicer.inGuest(vm, 'touch /tmp/before-restart');
    await slicer.run(['vm', 'exec', vm, '--', 'reboot'], { limitMs: 30_000 });
    if (!restarts) return untilStopped(vm);
    // Only the log is looked at: the guest is left alone until its agent has spoken.
    const isBack = async (): Promise<boolean> => /Restarting system[^]*slicer-agent: holds/.test(await slicer.ok(['vm', 'logs', vm, '--lines=0']));
    for (let round = 0; round < 120 && !await isBack(); round += 1) await delay(500);
    assert.equal(await slicer.inGuest(vm, `test ! -e /tmp/before-restart && cat ${SECRETS}/key`), `${KEY}, changed`);
  });

  if (restarts) {
    test(`${title}: a guest that powers itself off is stopped`, async () => {
      const { slicer } = fixture;
      const vm = await holderOf('key');
      await slicer.run(['vm', 'exec', vm, '--', 'poweroff'], { limitMs: 30_000 });
      await untilStopped(vm);
    });
  }

  test(`${title}: a daemon that comes back has its VM again, and it its secrets`, async () => {
    const { slicer } = fixture;
    await slicer.stop('SIGKILL');
    slicer.put('other', `${OTHER}, changed`);
    await slicer.start();
    const vm = await holderOf('other');
    await slicer.untilHolds(vm);
    assert.equal(await slicer.inGuest(vm, `cat ${SECRETS}/other`), `${OTHER}, changed`);
  });

  test(`${title}: a VM that is deleted is asked to power off, and nothing of it is left`, async () => {
    const { slicer } = fixture;
    const vm = await holderOf('other');
    const [log] = [...filesBelow(slicer.directory)].map(({ where }) => where).filter((where) => where.includes(`/${vm}/`) && where.endsWith('console.log'));
    const file = openSync(log as string, 'r');
    try {
      await slicer.ok(['vm', 'delete', vm]);
      // The name is gone, what it named is not.
      assert.match(readFileSync(file, 'latin1'), /The system is going down NOW!/);
    } finally {
      closeSync(file);
    }
    await slicer.ok(['vm', 'delete', await holderOf('key')]);
    assert.deepEqual(JSON.parse(await slicer.ok(['vm', 'list', '--json'])), []);
    assert.deepEqual(slicer.runtimeDirectories().flatMap((directory) => [...filesBelow(directory)].map(({ where }) => where)), []);
  });

  async function holderOf(secret: string): Promise<string> {
    const listed = JSON.parse(await fixture.slicer.ok(['vm', 'list', '--json'])) as { hostname: string; secrets: string[] }[];
    const vm = listed.find(({ secrets }) => secrets.includes(secret))?.hostname;
    assert.ok(vm, `no VM is granted ${secret}`);
    return vm;
  }
}
