// Files that Slicer wrote, which another may have spoilt, and modules of a guest's kernel.
import assert from 'node:assert/strict';
import { formatRecord, parseRecord } from '../../../src/audit/record.ts';
import { AuditTable } from '../../../src/cli/audit-table.ts';
import { isAuditRecord } from '../../../src/client/shape.ts';
import { parseSecretName, type SecretName } from '../../../src/secret/name.ts';
import { Secret } from '../../../src/secret/secret.ts';
import { Ledger } from '../../../src/store/ledger.ts';
import { decodeRecord, encodeRecord } from '../../../src/vm/record.ts';
import { readModule } from '../../../image/kernel-modules.ts';
import type { Target } from '../engine.ts';
import { CANARY, isRefusal, unless } from '../expectations.ts';

const RECORD = {
  version: 1, hostname: 'web-1', grant: ['api-key'], tags: ['x'], created_at_ms: 1, kind: 'launched', status: 'running', group: 'web', cpus: 1, ram_bytes: 134217728, stop_grace_ms: 0,
  vmm: { hypervisor: 'qemu', machine: 'q35' }, credentials: [{ name: 'A', secret: 'a' }], live_credentials: [], userdata: { state: 'done', exit_code: 0 }, guest_cid: 42, host_port: 500,
  runtime_directory: '/run/slicer-0/0123abcd/web-1', boot_id: 'f', processes: [{ role: 'vmm', pid: 7, start_time: 9 }],
};

const record: Target = {
  name: 'vm-record',
  of: 'src/vm/record.ts: vm.json',
  corpus: [RECORD, { version: 1, hostname: 'web-1', grant: 'all', tags: [], created_at_ms: 1, kind: 'attached', vsock_path: '/run/x.vsock' }].map((value) => JSON.stringify(value)),
  words: ['reason', 'attached', 'launched', 'failed', '/run/slicer-0/0123abcd/../web-1', '/run/slicer-0/0123abcd/web-1/..', CANARY],
  json: 'also',
  check: (input) => {
    const found = unless(isRefusal('internal'), () => decodeRecord(input.toString(), 'web-1'));
    if (found === undefined) return;
    // As text: JSON has no -0.
    assert.equal(encodeRecord(decodeRecord(encodeRecord(found), 'web-1')), encodeRecord(found));
    assert.equal(found.hostname, 'web-1');
    // All of that directory is removed with the VM.
    if (found.kind === 'launched') assert.match(found.runtime_directory, /^(\/(?!\.\.?\/)[^/]+)*\/slicer-[0-9]+\/[0-9a-f]{8}\/web-1$/);
  },
};

const AUDIT_RECORD = {
  time: '2026-01-02T03:04:05.006Z', actor: 'admin', event: 'grant', vm: 'web-1', secret: 'a', outcome: 'failed', reason: 'x', id: '1', channel: 'boot', credential: 'A', grant: ['a'],
  credentials: [{ name: 'A', secret: 'a' }], request: 'POST /secrets', exit_code: 1, suppressed: 2,
};

const auditLog: Target = {
  name: 'audit-log',
  of: 'src/audit/record.ts: a line of the audit log',
  corpus: [AUDIT_RECORD, { ...AUDIT_RECORD, grant: 'all', outcome: 'begun' }, { ...AUDIT_RECORD, event: 'start' }].map((value) => JSON.stringify(value)),
  words: ['begun', 'start', 'all', '\u001b[2J', '\u202e', 'refused'],
  json: 'also',
  check: (input) => {
    const found = parseRecord(input.toString());
    if (found === undefined) return;
    const table = new AuditTable((line) => assert.doesNotMatch(line, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]|\n./), 80);
    table.add(found);
    table.end();
    assert.ok(isAuditRecord(found));
    const { time, ...entry } = found;
    assert.deepEqual(parseRecord(formatRecord(time, entry)), JSON.parse(JSON.stringify(found)));
  },
};

const NAMES = ['a', 'b', 'c', 'd'].map((name) => parseSecretName(name) as SecretName);

/** Each byte is a step, so that any input is a history of a store. */
const ledger: Target = {
  name: 'ledger',
  of: 'src/store/ledger.ts: versions and snapshots, over any history of a store\'s directory',
  corpus: [Buffer.from([0, 1, 16, 0, 32, 16, 1, 33, 16]), Buffer.from([0, 0, 48, 16, 64, 80, 16]), Buffer.from([2, 16, 34, 16, 2, 16])],
  maxBytes: 300,
  check: (input) => {
    const store = new Ledger('0123456789abcdef');
    let last = store.snapshot;
    const taken: [typeof last, string][] = [];
    const seen = new Set<number>();
    for (const byte of input) {
      const name = NAMES[byte & 3] as SecretName;
      const step = (byte >> 4) % 6;
      if (step === 0) {
        const { version } = store.put(name, { value: new Secret(Buffer.of(byte)), attributes: { mode: byte, uid: 0, gid: 0 }, modifiedAtMs: byte });
        assert.ok(!seen.has(version), 'a version twice');
        seen.add(version);
      } else if (step === 2) store.remove(name);
      else if (step === 3) store.skip(input.toString('latin1', 0, 8), byte & 4 ? 'is a directory' : undefined);
      else if (step === 4) store.touch(name, byte);
      else if (step === 5) store.setProblem(byte & 4 ? 'gone' : undefined);
      else {
        const next = store.commit();
        if (next === undefined) continue;
        assert.ok(next.counter >= last.counter);
        for (const [secret, { version }] of next.secrets) {
          assert.ok(version <= next.counter && version >= (last.secrets.get(secret)?.version ?? 0) && !next.removed.has(secret));
          assert.ok(version > (last.removed.get(secret) ?? 0), 'a secret came back with an old version');
        }
        for (const [, version] of next.removed) assert.ok(version <= next.counter);
        for (const { file } of next.skipped) assert.doesNotMatch(file, /[\0-\x1f\x7f-\x9f]/);
        last = next;
        if (taken.length < 3) taken.push([next, textOf(next)]);
      }
    }
    for (const [snapshot, text] of taken) assert.equal(textOf(snapshot), text, 'a snapshot changed');
  },
};

const textOf = ({ counter, secrets, removed, skipped, problem }: Ledger['snapshot']): string =>
  JSON.stringify([counter, [...secrets].map(([name, { version, modifiedAtMs }]) => [name, version, modifiedAtMs]), [...removed], skipped, problem]);

const kernelModule: Target = {
  name: 'kernel-module',
  of: 'image/kernel-modules.ts: what a module of a kernel says of itself',
  corpus: ['\x7fELF\0depends=virtio,vsock\0alias=net-pf-40\0name=x\0', '\0depends=\0\0alias=a\0alias=b\0'].map((text) => Buffer.from(text, 'latin1')),
  words: ['\0depends=', '\0alias=', ','],
  check: (input) => {
    const { name, depends, aliases } = readModule('kernel/a/my-mod.ko.xz', input);
    assert.equal(name, 'my_mod');
    for (const text of [...depends, ...aliases]) assert.ok(!text.includes('\0') && text.length < input.length);
  },
};

export const fileTargets: readonly Target[] = [record, auditLog, ledger, kernelModule];
