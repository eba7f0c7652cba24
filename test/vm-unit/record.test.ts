import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { decodeRecord, encodeRecord, type AttachedRecord, type LaunchedRecord } from '../../src/vm/record.ts';

const launched: LaunchedRecord = {
  version: 1,
  kind: 'launched',
  hostname: 'web-1',
  status: 'running',
  group: 'web',
  grant: ['api-key' as SecretName],
  tags: ['a=b'],
  created_at_ms: 1_700_000_000_000,
  cpus: 2,
  ram_bytes: 512 * 1024 * 1024,
  stop_grace_ms: 0,
  vmm: { hypervisor: 'cloud-hypervisor', machine: 'q35' },
  credentials: [{ name: 'API_KEY', secret: 'api-key' as SecretName }],
  live_credentials: [{ name: 'DB', secret: 'db' as SecretName, trim_newline: true }],
  userdata: { state: 'done', exit_code: 3 },
  guest_cid: 4711,
  uid: 2080374784,
  lent: [{ path: '/srv/db.raw', owner: 0 }],
  runtime_directory: '/run/slicer-0/0123abcd/web-1',
  boot_id: 'e9a7b7d6-0000-4000-8000-000000000000',
  processes: [{ role: 'vmm', pid: 12, start_time: 3456 }],
};
const attached: AttachedRecord = {
  version: 1, kind: 'attached', hostname: 'mine', grant: 'all', tags: [], created_at_ms: 0, vsock_path: '/run/x.vsock',
};

test('a record comes back as it was written', () => {
  assert.deepEqual(decodeRecord(encodeRecord(launched), 'web-1'), launched);
  assert.deepEqual(decodeRecord(encodeRecord(attached), 'mine'), attached);
});

test('a record of before there were credentials and VMMs has none, and is a q35', () => {
  const { credentials, live_credentials, vmm, ...before } = launched;
  assert.deepEqual([credentials.length, live_credentials.length, vmm.hypervisor], [1, 1, 'cloud-hypervisor']);
  assert.deepEqual(decodeRecord(JSON.stringify(before), 'web-1'), {
    ...launched, credentials: [], live_credentials: [], vmm: { hypervisor: 'qemu', machine: 'q35' },
  });
});

const damage: [string, unknown, string][] = [
  ['another version', { ...launched, version: 2 }, 'version'],
  ['no grant', { ...launched, grant: undefined }, 'grant'],
  ['a grant of a name that no secret has', { ...launched, grant: ['../x'] }, 'grant'],
  ['a process id that would be a group of processes', { ...launched, processes: [{ role: 'vmm', pid: -1, start_time: 1 }] }, 'processes.0.pid'],
  ['a process without a start time', { ...launched, processes: [{ role: 'vmm', pid: 12 }] }, 'processes.0.start_time'],
  ['a value beside a credential', { ...launched, credentials: [{ name: 'A', secret: 'a', value: 'x' }] }, 'credentials.0'],
  ['an unknown field', { ...launched, extra: 1 }, 'extra'],
  ['a CID that is the host', { ...launched, guest_cid: 2 }, 'guest_cid'],
  ['a runtime directory that would take others with it', { ...launched, runtime_directory: '/' }, 'runtime_directory'],
  ['a runtime directory that leaves its place', { ...launched, runtime_directory: '/run/slicer-0/0123abcd/../web-1' }, 'runtime_directory'],
  ['a list', [], 'record'],
  ['another VM', { ...launched, hostname: 'web-2' }, "it is another vm's"],
];
for (const [name, json, expected] of damage) {
  test(`a record with ${name} is refused and says where`, () => {
    assert.throws(() => decodeRecord(JSON.stringify(json), 'web-1'), (error: unknown) => {
      assert.ok(error instanceof SlicerError);
      assert.match(error.message, /^the record of vm "web-1" is damaged: /);
      assert.ok(error.message.includes(expected), error.message);
      return true;
    });
  });
}

test('a record that stops early is refused, wherever it stops, and nothing of it is quoted', () => {
  const text = encodeRecord(launched);
  fc.assert(fc.property(fc.nat(text.trimEnd().length - 1), (length) => {
    assert.throws(() => decodeRecord(text.slice(0, length), 'web-1'), {
      message: 'the record of vm "web-1" is damaged: it is no JSON',
    });
  }));
});
