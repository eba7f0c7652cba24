// The daemon's own VMs on Firecracker, where only Firecracker is not real: it speaks its API, and has a wire
// agent in place of a guest.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findAgent } from '../../image/agent.ts';
import { HOST_ARCH } from '../../image/compiler.ts';
import type { Config, HostGroup } from '../../src/config/config.ts';
import { startDaemon, type Daemon } from '../../src/daemon/daemon.ts';
import type { Vms } from '../../src/vm/contract.ts';
import { endProcesses, findMarked } from '../../src/vm/process-table.ts';
import { findProgram } from '../../src/vm/programs.ts';
import { openVms } from '../../src/vm/vms.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { fakeFirecracker, type FakeOptions, type Misbehaviour } from '../vmm/fake-firecracker.ts';
import { until } from '../vm-unit/vm-fixture.ts';
import { base64, call, directoryFor, GROUP, memoryLog, type Answer } from './daemon.ts';

const CANARY = 'canary-6b1f0c';

const setpriv = await findProgram('setpriv', process.env['PATH'] ?? '');
const skip = agentPath() === undefined ? 'the agent is not built: npm run build'
  : setpriv === undefined ? 'setpriv is missing: apt-get install util-linux' : false;

function agentPath(): string | undefined {
  try {
    return findAgent(HOST_ARCH);
  } catch {
    return undefined;
  }
}

interface Place {
  readonly directory: string;
  readonly memoryDirectory: string;
  /** What VMs left behind: records, files and sockets of a VM, and processes. */
  leftovers(): Promise<string[]>;
  /** What Firecracker was asked, of all VMs. */
  requests(): { readonly path: string; readonly body: any }[];
}

interface Running {
  readonly daemon: Daemon;
  readonly vms: Vms;
  readonly log: string[];
  api(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The command's stdout. */
  inGuest(hostname: string, ...words: string[]): Promise<string>;
}

function place(t: TestContext): Place {
  const directory = directoryFor(t);
  const memoryDirectory = mkdtempSync('/dev/shm/slicer-daemon-');
  const vmsDirectory = join(directory, '.slicer', 'vms');
  const processes = async (): Promise<number[]> =>
    (await Promise.all(['web-1', 'web-2'].map((name) => findMarked(join(vmsDirectory, name))))).flat().map(({ pid }) => pid);
  t.after(async () => {
    for (const name of ['web-1', 'web-2']) await endProcesses(await findMarked(join(vmsDirectory, name)), 0);
    rmSync(memoryDirectory, { recursive: true });
  });
  for (const name of ['vmlinux', 'initrd']) writeFileSync(join(directory, name), name);
  return {
    directory,
    memoryDirectory,
    leftovers: async () => [
      ...readdirSync(vmsDirectory),
      // The directory of the daemon that runs is not one of a VM.
      ...readdirSync(memoryDirectory, { recursive: true }).map(String).filter((path) => path.split('/').length > 2),
      ...(await processes()).map((pid) => `process ${pid}`),
    ],
    requests: () => readFileSync(join(directory, 'requests'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)),
  };
}

interface Options {
  readonly fake?: FakeOptions;
  readonly group?: Partial<HostGroup>;
  readonly startLimitMs?: number;
  readonly stopGraceMs?: number;
}

async function start(t: TestContext, where: Place, options: Options = {}): Promise<Running> {
  const { fake, group, startLimitMs = 20_000, stopGraceMs = 20_000 } = options;
  const { directory, memoryDirectory } = where;
  const socket = join(directory, 'slicer.sock');
  const log: string[] = [];
  const firecracker = fakeFirecracker(directory, { requests: join(directory, 'requests'), ...fake });
  let vms: Vms | undefined;
  const config: Config = {
    hostGroups: [{ ...GROUP, vmm: { hypervisor: 'firecracker', machine: 'q35' }, ...group }],
    secretsDir: join(directory, '.secrets'),
    api: { unix: { path: socket, group: undefined }, tcp: undefined, auth: { enabled: false, tokenFile: join(directory, 'token') }, sockets: [], tokens: [] },
    audit: { path: join(directory, 'audit.log'), maxBytes: 2 ** 26, keep: 3 },
  };
  const daemon = await startDaemon(config, {
    directory, keepVms: true, log: memoryLog(log),
    machine: {
      openVms: async () => (vms = await openVms({
        daemonDirectory: directory, uid: process.getuid!(), memoryDirectories: [memoryDirectory],
        programs: {
          firecracker, agent: agentPath()!, setpriv: setpriv!,
          qemu: '/not/there', vhostDeviceVsock: '/not/there', cloudHypervisor: '/not/there',
        },
        accelerator: 'kvm', arch: 'x86_64', kernelVsock: true, tscKhz: undefined, startLimitMs,
        now: Date.now, randomBytes, warn: (message) => log.push(message),
      })),
      guestImage: async () => ({
        kernel: join(directory, 'vmlinux'), initrd: join(directory, 'initrd'), cmdline: 'console=ttyS0', volumes: [], stopGraceMs,
      }),
    },
  });
  t.after(() => daemon.stop());
  const api: Running['api'] = (method, path, body) => call({ socketPath: socket }, method, path, body);
  return {
    daemon, vms: vms!, log, api,
    inGuest: async (hostname, cmd, ...args) => {
      const query = new URLSearchParams([['cmd', cmd!], ...args.map((word): [string, string] => ['args', word]), ['buffered', 'true']]);
      const { status, body, text } = await api('POST', `/vm/${hostname}/exec?${query}`);
      assert.equal(status, 200, text);
      return body.stdout as string;
    },
  };
}

/** The id of a VM's Firecracker. */
async function vmmOf({ directory }: Place, hostname: string): Promise<number> {
  for (const { pid } of await findMarked(join(directory, '.slicer', 'vms', hostname))) {
    if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0--api-sock\0')) return pid;
  }
  throw new Error(`vm "${hostname}" has no firecracker`);
}

test('a VM on Firecracker gets its secrets and their changes, runs commands, is logged, and goes with all it had', { skip }, async (t) => {
  const where = place(t);
  const credentials = [{ name: 'tls.key', secret: parseSecretName('tls-key') as SecretName, trimNewline: true, allowEmpty: false, allowReserved: false }];
  const running = await start(t, where, { group: { secrets: [parseSecretName('api-key') as SecretName], credentials } });
  await running.api('POST', '/secrets', { name: 'api-key', data: base64(CANARY) });
  await running.api('POST', '/secrets', { name: 'tls-key', data: base64(`${CANARY}-tls\n`) });
  await running.api('POST', '/secrets', { name: 'other', data: base64('no') });
  const launched = await running.api('POST', '/hostgroup/web/nodes?wait=agent');
  assert.equal(launched.status, 201, launched.text);

  assert.equal(await running.inGuest('web-1', 'ls'), '.cred.tls.key\napi-key\n');
  assert.equal(await running.inGuest('web-1', 'cat', 'api-key'), CANARY);
  assert.equal(await running.inGuest('web-1', 'cat', '.cred.tls.key'), `${CANARY}-tls`);
  const changed = await running.api('PATCH', '/secrets/api-key?wait=10s', { data: base64('rotated') });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(await running.inGuest('web-1', 'cat', 'api-key'), 'rotated');

  const { content } = (await running.api('GET', '/vm/web-1/logs?lines=0')).body;
  assert.match(content, /Command line: slicer\.hostname=web-1 console=ttyS0 reboot=k .* pci=off\r\n/);
  for (const seen of [content, readFileSync(join(where.directory, 'requests'), 'utf8'), running.log.join('\n')]) {
    assert.ok(!seen.includes('canary'));
  }

  assert.equal((await running.api('DELETE', '/hostgroup/web/nodes/web-1')).status, 200);
  assert.deepEqual(where.requests().at(-1)!.body, { action_type: 'SendCtrlAltDel' });
  assert.deepEqual(await where.leftovers(), []);
});

test('a VM on Firecracker outlives its daemon, and the next one has it whole', { skip }, async (t) => {
  const where = place(t);
  const first = await start(t, where);
  await first.api('POST', '/secrets', { name: 'api-key', data: base64('one') });
  await first.api('POST', '/hostgroup/web/nodes?wait=agent');
  const pid = await vmmOf(where, 'web-1');
  await first.daemon.stop();
  const second = await start(t, where);
  assert.equal(await vmmOf(where, 'web-1'), pid);
  assert.deepEqual(where.requests().at(-1), { method: 'GET', path: '/' });
  const changed = await second.api('PATCH', '/secrets/api-key?wait=10s', { data: base64('two') });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(await second.inGuest('web-1', 'cat', 'api-key'), 'two');
  assert.equal((await second.api('POST', '/hostgroup/web/nodes?wait=agent')).body.hostname, 'web-2');
  for (const hostname of ['web-1', 'web-2']) {
    assert.equal((await second.api('DELETE', `/hostgroup/web/nodes/${hostname}`)).status, 200);
    assert.deepEqual(where.requests().at(-1)!.body, { action_type: 'SendCtrlAltDel' });
  }
  assert.deepEqual(await where.leftovers(), []);
  assert.deepEqual(second.log.filter((line) => line.includes('does not answer')), []);
});

test('a guest that reboots has powered itself off, and a Firecracker that dies has failed', { skip }, async (t) => {
  const where = place(t);
  const running = await start(t, where);
  for (const hostname of ['web-1', 'web-2']) {
    assert.equal((await running.api('POST', '/hostgroup/web/nodes?wait=agent')).body.hostname, hostname);
  }
  await running.inGuest('web-1', 'reboot');
  await until(running.vms, 'web-1', (vm) => vm?.status === 'stopped');
  process.kill(await vmmOf(where, 'web-2'), 'SIGKILL');
  await until(running.vms, 'web-2', (vm) => vm?.status === 'failed');
  assert.deepEqual(
    ((await running.api('GET', '/nodes')).body as any[]).map(({ hostname, status }) => [hostname, status]),
    [['web-1', 'Stopped'], ['web-2', 'Failed']],
  );
  assert.deepEqual(running.vms.list().map((vm) => vm.reason), ['the guest powered itself off', 'its VMM was ended by SIGKILL']);
  for (const hostname of ['web-1', 'web-2']) await running.api('DELETE', `/hostgroup/web/nodes/${hostname}`);
  assert.deepEqual(await where.leftovers(), []);
});

const misbehaviours: Record<Misbehaviour, RegExp> = {
  400: /the VMM answered PUT \S+ with status 400: .*not today/,
  500: /the VMM answered PUT \S+ with status 500: /,
  mute: /it was not ready within 2 s/,
  half: /closed its API socket before it had answered PUT /,
  garbage: /the VMM's answer to PUT \S+ is no HTTP/,
  'hang-up': /closed its API socket before it had answered PUT /,
  die: /vmm ended with exit code 1/,
  'die-before': /vmm ended with exit code 1/,
};
for (const [how, message] of Object.entries(misbehaviours) as [Misbehaviour, RegExp][]) {
  for (const at of ['/boot-source', '/actions']) {
    if (how === 'die' && at === '/actions') continue;
    test(`a Firecracker that answers ${at} with "${how}" leaves no VM, no process, no file and no value`, { skip }, async (t) => {
      const where = place(t);
      const running = await start(t, where, { fake: { misbehaves: { at, how } }, startLimitMs: how === 'mute' ? 2_000 : 20_000 });
      await running.api('POST', '/secrets', { name: 'api-key', data: base64(CANARY) });
      const { status, body, text } = await running.api('POST', '/hostgroup/web/nodes');
      assert.deepEqual([status, body.code], [500, 'launch_failed'], text);
      assert.match(body.error, /^vm "web-1" did not start, at firecracker: /);
      assert.match(body.error, message);
      assert.ok(!(text + running.log.join('\n')).includes(CANARY));
      assert.deepEqual((await running.api('GET', '/nodes')).body, []);
      assert.deepEqual(await where.leftovers(), []);
    });
  }
}

test('a Firecracker that dies right after it started the guest has failed, and leaves no process and no socket', { skip }, async (t) => {
  const where = place(t);
  const running = await start(t, where, { fake: { misbehaves: { at: '/actions', how: 'die' } } });
  await running.api('POST', '/hostgroup/web/nodes');
  // Its end may be noticed before the launch is done with it, or after.
  await until(running.vms, 'web-1', (vm) => vm === undefined || vm.status === 'failed');
  if (running.vms.get('web-1') !== undefined) await running.api('DELETE', '/hostgroup/web/nodes/web-1');
  assert.deepEqual(await where.leftovers(), []);
});

test('a guest that takes no notice of Ctrl+Alt+Del is ended by force when its time is over', { skip }, async (t) => {
  const where = place(t);
  const running = await start(t, where, { fake: { ignoresButton: true }, stopGraceMs: 300 });
  await running.api('POST', '/hostgroup/web/nodes');
  assert.equal((await running.api('DELETE', '/hostgroup/web/nodes/web-1')).status, 200);
  assert.deepEqual(where.requests().at(-1)!.body, { action_type: 'SendCtrlAltDel' });
  assert.deepEqual(await where.leftovers(), []);
});

test('what Firecracker lacks is refused before anything is made', { skip }, async (t) => {
  const where = place(t);
  const running = await start(t, where, { group: { vcpu: 33 } });
  const { status, body } = await running.api('POST', '/hostgroup/web/nodes');
  assert.deepEqual([status, body.error], [400, 'vm "web-1" has 33 cpus; Firecracker takes 32']);
  assert.deepEqual(await where.leftovers(), []);
});
