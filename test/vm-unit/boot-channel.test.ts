// What the boot channel carries into a real QEMU: as much as a plan says, and nothing of it stays behind.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Budget } from '../../src/delivery/budgets.ts';
import type { MachineType } from '../../src/delivery/hypervisor.ts';
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
const planned = (credentials: LaunchRequest['credentials'], ramBytes: number, machine: MachineType = 'q35', hasLowInitrdKernel = false) => {
  const sources = credentials.map(({ name, value }, index) => ({ name, value, secret: `s${index}` as SecretName }));
  return planDelivery({
    label: 'vm "web-1"', vmm: { hypervisor: 'qemu', machine }, arch: 'x86_64', ramBytes, grant: [], oemStrings: [], hasLowInitrdKernel,
    credentials: sources.map(({ name, secret }) => ({ name, secret, trimNewline: false, allowEmpty: false, allowReserved: false })),
  }, new Map(sources.map(({ secret, value }) => [secret, { value }])));
};

test('a table that is planned to be full leaves the firmware its memory; past its end the initramfs lies in it', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const verbose = { ...lab.request, cmdline: `${lab.image.cmdline.replace(/\bquiet\b/, '')} ignore_loglevel earlyprintk=serial` };
  // 24,000 bytes are 32,000 in base64; the length of the name makes up the rest.
  const full = (length: number, bytes = 24_000) => [credential('n'.repeat(length), new Uint8Array(bytes).fill(7))];
  const problems = (length: number): number => planned(full(length), verbose.ramBytes).problems.length;
  const { used, limit } = planned(full(1), verbose.ramBytes).budgets.tableBytes as Budget;
  const longest = limit - used + 1;
  assert.deepEqual([problems(longest - 1), problems(longest), problems(longest + 1)], [0, 0, 1]);

  /** How much of the initramfs lies in memory that the firmware keeps for its tables. */
  const overlap = async (credentials: LaunchRequest['credentials']): Promise<number> => {
    await vms.launch({ ...verbose, credentials }, hooks);
    await untilConsole(lab, vms, 'web-1', 'ACPI: RSDT');
    const { content } = await vms.logs('web-1', 0);
    const [, from] = [...content.matchAll(/BIOS-e820: \[mem 0x(\w+)-0x\w+\] reserved/g)][1] ?? [];
    const [, to] = /RAMDISK: \[mem 0x\w+-0x(\w+)\]/.exec(content) ?? [];
    assert.ok(from && to, content);
    await vms.delete('web-1');
    return Math.max(0, Number.parseInt(to, 16) + 1 - Number.parseInt(from, 16));
  };
  assert.equal(await overlap(full(longest - 1)), 0);
  assert.equal(await overlap(full(longest)), 0);
  // The rest of what a plan keeps for longer versions, and the firmware's grain of 64 bytes.
  assert.ok(await overlap(full(longest, 24_000 + 192)) > 0);

  const cmdline = `${lab.image.cmdline} rdinit=/bin/sh -- -c "mount -t sysfs s /sys; wc -c < /sys/firmware/dmi/entries/11-0/raw; echo all seen; sleep 1000000"`;
  await vms.launch({ ...lab.request, cmdline, credentials: full(longest) }, hooks);
  await untilConsole(lab, vms, 'web-1', 'all seen');
  // Five bytes before the strings, a NUL after them.
  assert.equal((await vms.logs('web-1', 2)).content.replaceAll('\r', ''), `${limit + 6}\nall seen\n`);
  await vms.delete('web-1');
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('with a kernel whose initramfs lies low a table may be as long as QEMU takes it, and the guest has each byte', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const { ramBytes } = lab.request;
  const table = (length: number): LaunchRequest['credentials'] => [credential('n'.repeat(length), randomBytes(48_000))];
  const problems = (length: number): number => planned(table(length), ramBytes, 'q35', true).problems.length;
  const { used, limit } = planned(table(1), ramBytes, 'q35', true).budgets.tableBytes as Budget;
  // One more for what a name of its own length leaves.
  const rest = credential('rest', new Uint8Array(3 * Math.floor((limit - used - 'io.systemd.credential.binary:rest='.length - 1) / 4)));
  const [large] = table(1);
  const credentials = [large as LaunchRequest['credentials'][number], rest];
  assert.deepEqual(planned(credentials, ramBytes, 'q35', true).problems, []);
  assert.equal(problems(250), 0);
  assert.notDeepEqual(planned([...credentials, credential('m', new Uint8Array(3))], ramBytes, 'q35', true).problems, []);
  const cmdline = `${lab.image.cmdline.replace(/\bquiet\b/, '')} rdinit=/bin/sh -- -c "mount -t sysfs s /sys; mount -t proc p /proc; `
    + 'strings -n 60000 /sys/firmware/dmi/entries/11-0/raw | cut -d= -f2- | base64 -d | sha256sum; echo all seen; '
    + 'echo o > /proc/sysrq-trigger; sleep 1000000"';
  await vms.launch({ ...lab.request, lowInitrdKernel: lab.image.lowInitrdKernel, cmdline, credentials }, hooks);
  // ACPI is whole: the guest powers its machine off.
  await until(vms, 'web-1', (vm) => vm?.status === 'stopped');
  const { content } = await vms.logs('web-1', 0);
  assert.ok(content.includes(`${createHash('sha256').update(large?.value.reveal() as Uint8Array).digest('hex')}  -`), content);
  await vms.delete('web-1');
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a table that is longer than QEMU takes is refused by it too, and leaves nothing', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  await assert.rejects(vms.launch({ ...lab.request, credentials: [credential('A', new Uint8Array(60_000))] }, hooks), /SMBIOS 2\.1 table length \d+ exceeds 65535/);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

// With Slicer's own two each machine carries 255.
const SECRETS_MAX = 253;

test('255 strings go in through as many inherited descriptors, and the guest has each', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const credentials = Array.from({ length: SECRETS_MAX }, (_, index) => credential(`c${index}`, `value ${index}`));
  assert.deepEqual(planned(credentials, lab.request.ramBytes).problems, []);
  assert.notDeepEqual(planned([...credentials, credential('one-more', 'x')], lab.request.ramBytes).problems, []);
  const cmdline = `${lab.image.cmdline} rdinit=/bin/sh -- -c "mount -t sysfs s /sys; `
    + 'strings /sys/firmware/dmi/entries/11-0/raw > /strings; grep -c ^io.systemd.credential.binary:c[0-9]*= /strings; '
    + 'grep ^io.systemd.credential.binary:c252= /strings; grep -c ^io.systemd.credential.binary:slicer.boot-token= /strings; echo all seen; sleep 1000000"';
  await vms.launch({ ...lab.request, cmdline, credentials }, hooks);
  await untilConsole(lab, vms, 'web-1', 'all seen');
  const { content } = await vms.logs('web-1', 5);
  assert.deepEqual(content.replaceAll('\r', '').trimEnd().split('\n').slice(-4), [
    '253', `io.systemd.credential.binary:c252=${Buffer.from('value 252').toString('base64')}`, '1', 'all seen',
  ]);
});

test("255 files go into microvm's fw_cfg, one of 1 MB and one with the longest name, and the guest has each byte", { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const vmm = { hypervisor: 'qemu', machine: 'microvm' } as const;
  const longest = 'n'.repeat(28);
  const bytes = randomBytes(1_000_000);
  const small = Array.from({ length: SECRETS_MAX - 1 }, (_, index) => credential(index === 0 ? longest : `c${index}`, `value ${index}`));
  const credentials = [...small, credential('large', bytes)];
  const { ramBytes } = lab.request;
  assert.deepEqual(planned(credentials, ramBytes, 'microvm').problems, []);
  assert.notDeepEqual(planned([...credentials, credential('one-more', 'x')], ramBytes, 'microvm').problems, []);
  assert.notDeepEqual(planned([credential(`${longest}n`, 'x')], ramBytes, 'microvm').problems, []);
  const cmdline = `${lab.image.cmdline} rdinit=/bin/sh -- -c "mount -t sysfs s /sys; modprobe qemu_fw_cfg; `
    + 'cd /sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials; ls | wc -l; cat c251/raw; echo; '
    + `cat ${longest}/raw; echo; sha256sum large/raw; echo all seen; sleep 1000000"`;
  await vms.launch({ ...lab.request, vmm, cmdline, credentials }, hooks);
  await untilConsole(lab, vms, 'web-1', 'all seen');
  const { content } = await vms.logs('web-1', 5);
  assert.deepEqual(content.replaceAll('\r', '').trimEnd().split('\n'), [
    '255', 'value 251', 'value 0', `${createHash('sha256').update(bytes).digest('hex')}  large/raw`, 'all seen',
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
  assert.deepEqual(readdirSync(dirname(vm.vsockPath)).sort(), ['boot-token', 'control.sock', 'vhost.sock', 'vm.vsock']);
  const processes = await findMarked(vmDirectory);
  const seen = [
    record, readFileSync(join(vmDirectory, 'console.log'), 'latin1'),
    ...processes.flatMap(({ pid }) => ['cmdline', 'environ', 'comm'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))),
  ].join('\n');
  for (const form of formsOf(value)) assert.ok(!seen.includes(form));
  const qemu = await lab.pidOf('web-1', 'qemu');
  const inherited = [3, 4].map((fd) => readlinkSync(`/proc/${qemu}/fd/${fd}`));
  for (const link of inherited) assert.match(link, /boot-slot \(deleted\)$/);

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
