// Launches that fail at each of their steps: a clear error, and nothing left.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LaunchRequest } from '../../src/vm/contract.ts';
import type { VmPrograms } from '../../src/vm/programs.ts';
import { hooks, missingPart, openLab, realPrograms, until, type Lab } from './vm-fixture.ts';

const skip = await missingPart();
const mountFault = spawnSync('unshare', ['--mount', 'true']).status !== 0 && 'needs the right to mount a file system';

function script(lab: Lab, name: string, text: string): string {
  const path = join(lab.daemonDirectory, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

interface Failure {
  readonly request?: (lab: Lab) => Partial<LaunchRequest>;
  readonly programs?: (lab: Lab) => Partial<VmPrograms>;
  readonly code: string;
  readonly message: RegExp;
}

const failures: Record<string, Failure> = {
  'a program that is not there': {
    programs: () => ({ qemu: '/not/there', vhostDeviceVsock: '/nor/here' }),
    code: 'missing_part',
    message: /^no program at \/not\/there; no program at \/nor\/here$/,
  },
  'a kernel that is not there': {
    request: () => ({ kernel: '/not/there' }),
    code: 'missing_part',
    message: /^the kernel \/not\/there can't be read: ENOENT$/,
  },
  'a kernel that is none': {
    request: (lab) => ({ kernel: script(lab, 'kernel', '') }),
    code: 'launch_failed',
    message: /^vm "web-1" did not start, at qemu-system-x86_64: vmm ended with exit code 1; it wrote: qemu: linux kernel too old to load a ram disk$/,
  },
  'a console writer that does not know its work': {
    programs: (lab) => ({ agent: script(lab, 'agent', 'echo "no such command" >&2; exit 2') }),
    code: 'launch_failed',
    message: /^vm "web-1" did not start, at .*: console ended with exit code 2; it wrote: no such command/,
  },
  'a VSOCK device that ends at once': {
    programs: (lab) => ({ vhostDeviceVsock: script(lab, 'vhost', 'echo "bad day" >&2; exit 3') }),
    code: 'launch_failed',
    message: /^vm "web-1" did not start, at vhost: vsock ended with exit code 3; it wrote: bad day$/,
  },
  'a VMM that is no program': {
    programs: (lab) => {
      const path = join(lab.daemonDirectory, 'qemu');
      writeFileSync(path, 'garbage');
      chmodSync(path, 0o755);
      return { qemu: path };
    },
    code: 'launch_failed',
    message: /^vm "web-1" did not start, at qemu: vmm ended with exit code /,
  },
  'more memory than whole MiB': {
    request: () => ({ ramBytes: 1024 * 1024 + 1 }),
    code: 'invalid_request',
    message: /1048577 bytes of memory/,
  },
  'no processor': { request: () => ({ cpus: 0 }), code: 'invalid_request', message: /0 cpus/ },
  'a host name with a dot': { request: () => ({ hostname: 'a.b' }), code: 'invalid_name', message: /"a\.b"/ },
};

for (const [name, failure] of Object.entries(failures)) {
  test(`a launch with ${name} says so and leaves nothing`, { skip }, async (t) => {
    const lab = await openLab(t);
    const vms = await lab.open({ programs: { ...await realPrograms(), ...failure.programs?.(lab) } });
    await assert.rejects(vms.launch({ ...lab.request, ...failure.request?.(lab) }, hooks), (error: any) => {
      assert.equal(error.code, failure.code);
      assert.match(error.message, failure.message);
      return true;
    });
    assert.deepEqual(vms.list(), []);
    await vms.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });
}

for (const [room, options, message] of [
  ['blocks', 'size=4k', /^vm "web-1" did not start, at qemu-system-x86_64: the runtime directory \S+\/web-1 can't be written \(ENOSPC\)$/],
  ['inodes', 'nr_inodes=5', /^the runtime directory \S+\/web-1 can't be written \(ENOSPC\)$/],
] as const) {
  test(`a launch for which memory-backed files have no ${room} left says where, and leaves nothing`, { skip: skip || mountFault }, async (t) => {
    const lab = await openLab(t);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=711,${options}`, 'tmpfs', lab.memoryDirectory]);
    try {
      const vms = await lab.open();
      await assert.rejects(vms.launch(lab.request, hooks), (error: any) => {
        assert.equal(error.code, 'launch_failed');
        assert.match(error.message, message);
        assert.equal(error.problems[0].hint, `df -h ${lab.memoryDirectory}; df -i ${lab.memoryDirectory}`);
        return true;
      });
      assert.deepEqual(vms.list(), []);
      await vms.closeKeepingVms();
      assert.deepEqual(await lab.leftovers(), []);
    } finally {
      execFileSync('umount', [lab.memoryDirectory]);
    }
  });
}

test('a launch whose port of the kernel\'s VSOCK is somebody else\'s draws another, and has nothing of the first', { skip }, async (t) => {
  const lab = await openLab(t);
  const programs = await realPrograms();
  const agent = script(lab, 'agent', `[ "$1" = vsock ] || exec ${programs.agent} "$@"
[ "$5" != 102 ] || { echo "slicer-agent: error: listen on vsock: Address already in use" >&2; exit 1; }
echo "it has port $5" >&2; exit 3`);
  // A port and a CID for each attempt.
  const drawn = [0, 1000, 1, 1001];
  const numbers = (count: number): Uint8Array => (count === 4 ? Buffer.from(Uint32Array.of(drawn.shift() as number).buffer) : randomBytes(count));
  const vms = await lab.open({ programs: { ...programs, agent }, kernelVsock: true, randomBytes: numbers });
  const began: string[] = [];
  await assert.rejects(vms.launch(lab.request, { beforeStart: async ({ hostname }) => void began.push(hostname) }), {
    code: 'launch_failed',
    message: 'vm "web-1" did not start, at agent: vsock ended with exit code 3; it wrote: it has port 103',
  });
  assert.deepEqual([began, vms.list()], [['web-1', 'web-1'], []]);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a launch whose live server does not come up is undone with its error', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const cause = new Error('no live server');
  await assert.rejects(vms.launch(lab.request, { beforeStart: () => Promise.reject(cause) }), cause);
  assert.deepEqual(vms.list(), []);
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

test('a launch whose VMM never takes its configuration ends at its time limit', { skip }, async (t) => {
  const lab = await openLab(t);
  const qemu = script(lab, 'qemu', 'exec sleep 1000000');
  const vms = await lab.open({ programs: { ...await realPrograms(), qemu }, startLimitMs: 3_000 });
  await assert.rejects(vms.launch(lab.request, hooks), {
    code: 'launch_failed',
    message: 'vm "web-1" did not start, at qemu: it was not ready within 3 s',
  });
  await vms.closeKeepingVms();
  assert.deepEqual(await lab.leftovers(), []);
});

for (const [name, end, code] of [
  ['deleted', 'delete', 'launch_failed'],
  ['left by a daemon that ends', 'closeKeepingVms', 'shutting_down'],
] as const) {
  test(`a VM that is ${name} while it starts is ended whole`, { skip }, async (t) => {
    const lab = await openLab(t);
    // A VMM that starts and never takes orders.
    const vms = await lab.open({ programs: { ...await realPrograms(), qemu: script(lab, 'qemu', 'exec sleep 1000000') } });
    const launched = vms.launch(lab.request, hooks);
    const rejected = assert.rejects(launched, { code });
    await until(vms, 'web-1', (vm) => vm?.status === 'starting');
    await vms[end]('web-1');
    await rejected;
    await vms.closeKeepingVms();
    assert.deepEqual(await lab.leftovers(), []);
  });
}

test('a name that is taken is refused, and the VM that has it runs on', { skip }, async (t) => {
  const lab = await openLab(t);
  const vms = await lab.open();
  const [first, second] = await Promise.allSettled([
    vms.launch({ ...lab.request, hostname: 'web-2' }, hooks), vms.launch({ ...lab.request, hostname: 'web-2' }, hooks),
  ]);
  assert.equal(first.status, 'fulfilled');
  assert.equal((second as PromiseRejectedResult).reason.code, 'vm_exists');
  assert.equal(vms.get('web-2')?.status, 'running');
  await vms.stopAll();
});
