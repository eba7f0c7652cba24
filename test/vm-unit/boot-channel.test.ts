// What the boot channel carries into a real QEMU: as much as a plan says, and nothing of it stays behind.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { planDelivery } from '../../src/delivery/plan.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import type { LaunchRequest } from '../../src/vm/contract.ts';
import { findMarked } from '../../src/vm/process-table.ts';
import { formsOf } from '../vm/search.ts';
import { hooks, missingPart, openLab, until, untilConsole } from './vm-fixture.ts';

const skip = await missingPart();
const credential = (name: string, value: string | Uint8Array): LaunchRequest['credentials'][number] =>
  ({ name, secret: 'a' as SecretName, value: new Secret(typeof value === 'string' ? Buffer.from(value) : value) });
const planned = (credentials: LaunchRequest['credentials'], ramBytes: number) => planDelivery({
  label: 'vm "web-1"', ramBytes, grant: [],
  credentials: credentials.map(({ name, secret }) => ({ name, secret, trimNewline: false, allowEmpty: false, allowReserved: false })),
}, new Map(credentials.map(({ secret, value }) => [secret, { value }])));

test('a table that is planned to be full starts; one byte more than QEMU takes is refused by it, and leaves nothing', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  // 48,768 bytes are 65,024 in base64; the length of the name makes up the rest.
  const full = (length: number) => [credential('n'.repeat(length), new Uint8Array(48_768).fill(7))];
  const problems = (length: number): number => planned(full(length), lab.request.ramBytes).problems.length;
  const { used, limit } = planned(full(1), lab.request.ramBytes).budgets.tableBytes;
  const longest = limit - used + 1;
  assert.deepEqual([problems(longest), problems(longest + 1)], [0, 1]);
  const starts = async (length: number): Promise<void> => {
    await vms.launch({ ...lab.request, credentials: full(length) }, hooks);
    await vms.delete('web-1');
  };
  const isRefused = async (length: number): Promise<number> => {
    const error: Error = await starts(length).then(() => assert.fail('it started'), (reason: Error) => reason);
    const [, tables] = /SMBIOS 2\.1 table length (\d+) exceeds 65535/.exec(error.message) ?? [];
    assert.ok(tables, error.message);
    assert.equal(vms.get('web-1'), undefined);
    return Number(tables) - 65_535;
  };
  await starts(longest - 1);
  await starts(longest);
  // A plan leaves room for the longer version of a later QEMU; where its own end is, QEMU says.
  const end = longest + 60 - await isRefused(longest + 60);
  assert.ok(end >= longest, `QEMU takes ${end - longest} bytes more than a plan`);
  await starts(end);
  assert.equal(await isRefused(end + 1), 1);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('255 strings go in through as many inherited descriptors, and the guest has each', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const credentials = Array.from({ length: 254 }, (_, index) => credential(`c${index}`, `value ${index}`));
  assert.deepEqual(planned(credentials, lab.request.ramBytes).problems, []);
  const cmdline = `${lab.image.cmdline} rdinit=/bin/sh -- -c "mount -t sysfs s /sys; `
    + 'strings /sys/firmware/dmi/entries/11-0/raw > /strings; grep -c ^io.systemd.credential.binary:c[0-9]*= /strings; '
    + 'grep ^io.systemd.credential.binary:c253= /strings; grep -c ^io.systemd.credential.binary:slicer.boot-token= /strings; echo all seen; sleep 1000000"';
  await vms.launch({ ...lab.request, cmdline, credentials }, hooks);
  await untilConsole(lab, vms, 'web-1', 'all seen');
  const { content } = await vms.logs('web-1', 5);
  assert.deepEqual(content.replaceAll('\r', '').trimEnd().split('\n').slice(-4), [
    '254', `io.systemd.credential.binary:c253=${Buffer.from('value 253').toString('base64')}`, '1', 'all seen',
  ]);
});

test('a value reaches the VMM through a file without a name, and is in no argument, environment, record, log or directory', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const value = 'canary-of-a-credential-5b1f';
  const vm = await vms.launch({ ...lab.request, credentials: [credential('A_KEY', value)] }, hooks);
  assert.deepEqual(vm.credentials, [{ name: 'A_KEY', secret: 'a' }]);
  const vmDirectory = join(lab.daemonDirectory, '.slicer/vms/web-1');
  const record = readFileSync(join(vmDirectory, 'vm.json'), 'latin1');
  assert.deepEqual((JSON.parse(record) as { credentials: unknown }).credentials, [{ name: 'A_KEY', secret: 'a' }]);
  assert.deepEqual(readdirSync(dirname(vm.vsockPath)).sort(), ['boot-token', 'qmp.sock', 'vhost.sock', 'vm.vsock']);
  const processes = await findMarked(vmDirectory);
  const seen = [
    record, readFileSync(join(vmDirectory, 'console.log'), 'latin1'),
    ...processes.flatMap(({ pid }) => ['cmdline', 'environ', 'comm'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))),
  ].join('\n');
  for (const form of formsOf(value)) assert.ok(!seen.includes(form));
  const qemu = await lab.pidOf('web-1', 'qemu');
  const inherited = [3, 4].map((fd) => readlinkSync(`/proc/${qemu}/fd/${fd}`));
  for (const link of inherited) assert.match(link, /oem-string \(deleted\)$/);

  // A later daemon needs nothing of them.
  await vms.closeKeepingVms();
  const later = await lab.open();
  assert.deepEqual(later.get('web-1'), vm);
  await later.delete('web-1');
  await later.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
  assert.deepEqual(lab.warnings, []);
});

test('a VM that was killed leaves nothing of its credentials', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await vms.launch({ ...lab.request, credentials: [credential('A_KEY', 'value')] }, hooks);
  process.kill(await lab.pidOf('web-1', 'qemu'), 'SIGKILL');
  await until(vms, 'web-1', (vm) => vm?.status === 'failed' && vm.kind === 'launched');
  await vms.delete('web-1');
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});
