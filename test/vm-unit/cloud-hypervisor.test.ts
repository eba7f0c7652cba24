// VMs on Cloud Hypervisor, of which only Cloud Hypervisor is not real: it speaks its API, and has no guest.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import type { LaunchedVm, LaunchRequest, Vms } from '../../src/vm/contract.ts';
import { findMarked } from '../../src/vm/process-table.ts';
import type { VmsOptions } from '../../src/vm/vms.ts';
import { formsOf } from '../vm/search.ts';
import { installFakeCloudHypervisor, type Fault, type InstalledFake, type Misbehaviour } from '../vmm/fake-cloud-hypervisor.ts';
import { hooks, missingPart, openLab, realPrograms, until, untilConsole, type Lab } from './vm-fixture.ts';

const skip = await missingPart();
const CANARY = 'canary-of-a-credential-0123456789';

interface Place {
  readonly lab: Lab;
  readonly fake: InstalledFake;
  readonly request: LaunchRequest;
  open(change?: Partial<VmsOptions>): Promise<Vms>;
  /** Everything that others may see of a VM while it runs. */
  seen(hostname: string): Promise<string>;
}

async function place(t: TestContext, misbehaviour: Misbehaviour = {}): Promise<Place> {
  const lab = await openLab(t);
  const fake = installFakeCloudHypervisor(lab.daemonDirectory, misbehaviour);
  const programs = { ...await realPrograms(), cloudHypervisor: fake.program, qemu: '/not/there', vhostDeviceVsock: '/not/there' };
  const directory = (hostname: string): string => join(lab.daemonDirectory, '.slicer/vms', hostname);
  return {
    lab, fake,
    request: {
      ...lab.request,
      vmm: { hypervisor: 'cloud-hypervisor', machine: 'q35' },
      credentials: [{ name: 'token', secret: 'a' as SecretName, value: new Secret(Buffer.from(CANARY)) }],
      stopGraceMs: 20_000,
    },
    // /dev/kvm need not be here, and what passes for Cloud Hypervisor reads this checkout: no users of their own.
    open: (change) => lab.open({ programs, accelerator: 'kvm', vmUids: undefined, ...change }),
    async seen(hostname) {
      const processes = await findMarked(directory(hostname));
      return [
        ...readdirSync(directory(hostname)).map((name) => readFileSync(join(directory(hostname), name), 'latin1')),
        ...processes.flatMap(({ pid }) => ['cmdline', 'environ', 'comm'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))),
        ...lab.warnings,
      ].join('\n');
    },
  };
}

/** As it is, in hexadecimal, and in base64 wherever that begins. */
function assertHidden(text: string): void {
  for (const form of formsOf(CANARY)) assert.ok(!text.includes(form), 'a value is seen');
}

test('a VM is launched, adopted by the next daemon, and powered off, and no one but its VMM has its values', { skip }, async (t) => {
  const { lab, fake, request: wanted, open, seen } = await place(t);
  const first = await open();
  const vm = await first.launch(wanted, hooks);
  assert.equal(vm.status, 'running');
  assert.deepEqual(readdirSync(dirname(vm.vsockPath)).sort(), ['boot-token', 'control.sock', 'control.sock.lock', 'vm.vsock']);
  await untilConsole(lab, first, 'web-1', 'Command line: slicer.hostname=web-1 ');
  assertHidden(await seen('web-1'));
  await first.closeKeepingVms();

  const second = await open();
  assert.equal(second.get('web-1')?.status, 'running');
  assert.deepEqual(lab.warnings, []);
  await second.delete('web-1');
  assert.deepEqual(fake.requests(), ['PUT vm.create', 'PUT vm.boot', 'GET vmm.ping', 'PUT vm.power-button']);
  await second.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

/** As the guest's own power-off is: an end that nobody here asked for. */
function pressButton(vm: LaunchedVm): Promise<number> {
  return new Promise((resolve, reject) => {
    request({
      socketPath: join(dirname(vm.vsockPath), 'control.sock'), method: 'PUT', path: '/api/v1/vm.power-button',
      headers: { 'Content-Length': 0 }, agent: false,
    }, ({ statusCode }) => resolve(statusCode as number)).on('error', reject).end();
  });
}

test('a guest that powers itself off has stopped, and a VMM that dies has failed', { skip }, async (t) => {
  const { lab, request: wanted, open } = await place(t);
  const vms = await open();
  const vm = await vms.launch(wanted, hooks);
  await vms.launch({ ...wanted, hostname: 'web-2' }, hooks);
  await pressButton(vm);
  await until(vms, 'web-1', (seen) => seen?.status === 'stopped');
  process.kill(await lab.pidOf('web-2', process.execPath), 'SIGKILL');
  await until(vms, 'web-2', (seen) => seen?.status === 'failed');
  assert.deepEqual(vms.list().map(({ reason }) => reason), ['the guest powered itself off', 'its VMM was ended by SIGKILL']);
  for (const hostname of ['web-1', 'web-2']) await vms.delete(hostname);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a guest that does not hear its power button is ended when its grace is over', { skip }, async (t) => {
  const { lab, request: wanted, open } = await place(t, { deafGuest: true });
  const vms = await open();
  await vms.launch({ ...wanted, stopGraceMs: 100 }, hooks);
  await vms.delete('web-1');
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('what a VMM says of its configuration is in the log without the values', { skip }, async (t) => {
  const { lab, request: wanted, open, seen } = await place(t, { talkative: true });
  const vms = await open();
  await vms.launch(wanted, hooks);
  await untilConsole(lab, vms, 'web-1', 'INFO: {"cpus":');
  assertHidden(await seen('web-1'));
  await vms.delete('web-1');
});

const faults: Record<Fault, RegExp> = {
  '400': /status 400: \["Failed to deserialize JSON","unknown field"\]/,
  '500': /status 500: \["Error from API","The VM could not boot","Out of luck"\]/,
  echo: /status 400: invalid type: string /,
  nothing: /: it was not ready within 2 s/,
  half: /the VMM closed its API socket before it had answered PUT /,
  garbage: /the VMM's answer to PUT \S+ is no HTTP/,
  die: /: vmm was ended by SIGKILL/,
  'die-after': /: vmm was ended by SIGKILL/,
};
for (const at of ['vm.create', 'vm.boot'] as const) {
  for (const [fault, message] of Object.entries(faults) as [Fault, RegExp][]) {
    if (at === 'vm.boot' && fault === 'die-after') continue;
    test(`a VMM that answers ${at} with ${fault} leaves no VM, no process, no file and no value`, { skip }, async (t) => {
      const { lab, request: wanted, open } = await place(t, { faults: { [at]: fault }, talkative: true });
      const vms = await open(fault === 'nothing' ? { startLimitMs: 2_000 } : {});
      await assert.rejects(vms.launch(wanted, hooks), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'launch_failed');
        assert.match(error.message, /^vm "web-1" did not start, at cloud-hypervisor: /);
        assert.match(error.message, message);
        assertHidden(`${error.message} ${error.stack} ${String(error.cause)}`);
        return true;
      });
      assert.deepEqual(vms.list(), []);
      assertHidden(lab.warnings.join('\n'));
      await vms.closeKeepingVms();
      assert.deepEqual(await lab.leftovers(), []);
    });
  }
}

test('what Cloud Hypervisor lacks is refused before anything is made', { skip }, async (t) => {
  const { lab, fake, request: wanted, open } = await place(t);
  const vms = await open({ accelerator: 'tcg' });
  await assert.rejects(vms.launch({ ...wanted, interfaces: [{ kind: 'user' }] }, hooks), {
    code: 'invalid_request',
    message: 'Cloud Hypervisor has no emulation, which vm "web-1" asks for; '
      + 'Cloud Hypervisor has no network stack of its own (network: user), which vm "web-1" asks for',
  });
  assert.deepEqual(fake.requests(), []);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a Cloud Hypervisor that is not there is a missing part', { skip }, async (t) => {
  const { request: wanted, open } = await place(t);
  const vms = await open({ programs: { ...await realPrograms(), cloudHypervisor: '/not/there' } });
  await assert.rejects(vms.launch(wanted, hooks), { code: 'missing_part', message: 'no program at /not/there' });
});
