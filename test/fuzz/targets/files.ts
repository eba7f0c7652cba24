// Files that a user or another program wrote: configurations, inventories, records of VMs, what Nix prints.
import assert from 'node:assert/strict';
import { formatRecord, parseRecord } from '../../../src/audit/record.ts';
import { AuditTable } from '../../../src/cli/audit-table.ts';
import { isAuditRecord } from '../../../src/client/shape.ts';
import { parseVarsInventory, readVarsInventory } from '../../../src/config/generators-load.ts';
import { parseInventory } from '../../../src/config/inventory-load.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { nixComplaint, nixData } from '../../../src/config/nix-evaluation.ts';
import { parseRunFile } from '../../../src/config/run-file-parse.ts';
import { readDocument } from '../../../src/config/yaml-document.ts';
import { readCompactJson } from '../../../src/config/compact-json.ts';
import { parseSecretName, type SecretName } from '../../../src/secret/name.ts';
import { Secret } from '../../../src/secret/secret.ts';
import { Ledger } from '../../../src/store/ledger.ts';
import { decodeRecord, encodeRecord } from '../../../src/vm/record.ts';
import { readModule } from '../../../image/kernel-modules.ts';
import { noFiles } from '../../config/config-fixture.ts';
import type { Target } from '../engine.ts';
import { CANARY, isRefusal, isSilentRefusal, unless } from '../expectations.ts';

const NO_DISK = { file: 'slicer.yaml', directory: '/srv', files: noFiles };
const config = (text: string) => parseConfig(text, NO_DISK);
const runFile = (text: string) => {
  const compact = readCompactJson(text);
  // The quick reader reads nothing that the other one reads otherwise, or refuses.
  if (compact !== undefined) assert.deepEqual(readDocument(text).data, compact.data);
  return parseRunFile(text, { file: 'vm.yaml', directory: '/srv' });
};
const inventory = (text: string) => parseInventory(text, { file: 'i.yaml', directory: '/srv' });

const inventories = (text: string): void => {
  unless(isRefusal('invalid_config'), () => inventory(text));
  parseVarsInventory(text, 'i.yaml');
};

/** No name of anything: somebody put a value in a name's place. */
const MISPLACED = `${CANARY}:= /`;

const CONFIG = {
  config: {
    image: 'tiny', hypervisor: 'qemu', secrets_dir: 'secrets',
    host_groups: [
      { name: 'web', count: 2, vcpu: 4, ram_gb: 2, userdata: `#!/bin/sh\n${CANARY}\n`, machine: 'microvm', network: 'user', secrets: ['api-key', MISPLACED], tags: ['blue'], credentials: [{ name: 'API_KEY', secret: 'api-key', trimNewline: true, deliver: 'both' }, { name: MISPLACED, secret: MISPLACED }] },
      { name: 'db', ram_mb: 64, secrets: 'none' }, { name: 'a', ram_bytes: 134217728, secrets: 'all', hypervisor: 'cloud-hypervisor' },
    ],
    api: {
      port: 9000, bind_address: './api.sock', socket_group: 1000, auth: { enabled: true, token_file: 'token' },
      sockets: [{ path: './read.sock', group: 'adm', role: 'read' }], tokens: [{ name: 'ci', token_file: 'ci', role: 'admin' }],
    },
    audit: { path: 'audit.log', max_size: '64MiB', keep: 3 },
  },
};

const CONFIG_YAML = `config:
  image: tiny
  host_groups:
    - name: web
      count: 2
      ram_gb: 2
      userdata: |
        #!/bin/sh
        true
      secrets: [api-key, tls.key]
      tags: &tags [blue, front]
    - {name: db, ram_mb: 64, secrets: none, tags: *tags}
  api:
    port: 9000
    bind_address: ./api.sock
`;

const RUN_FILE = {
  name: 'db', hypervisor: 'qemu', machine: 'microvm', vcpu: 2, mem: 1024, kernel: 'vmlinux', initrd: '/boot/initrd', cmdline: 'console=ttyS0',
  volumes: [{ image: 'data.img', size: 64, label: 'data', mountPoint: '/data', fsType: 'xfs' }, { image: '/srv/ro.img', readOnly: true }],
  shares: [{ tag: 'ro-store', socket: 'fs.sock', source: '/nix/store', mountPoint: '/nix/.ro-store', proto: 'virtiofs' }],
  interfaces: [{ type: 'tap', id: 'vm-db', mac: '02:00:00:00:00:01' }, { type: 'macvtap', id: 'mv0' }, { type: 'user' }],
  vsock: { cid: 7, socket: 'db.vsock' }, balloon: { size: 64, deflateOnOOM: false }, watchdog: true,
  runtimeSecrets: { 'api-key': { oemCredentialName: 'API_KEY', secretPath: '/run/secrets/api', trimNewline: true, deliver: 'both' }, 'from-unit': null, misplaced: MISPLACED, other: { oemCredentialName: MISPLACED } },
  staticOEMStrings: [`io.systemd.credential:ENVIRONMENT=${CANARY}`],
};

const INVENTORY = {
  instances: { web: { module: { name: 'microvm', input: 'slicer' }, roles: { guest: { machines: { host: { settings: { mem: 256, image: 'tiny', runtimeSecrets: { key: { generateSecret: true }, tls: { var: 'web-tls/key.pem' }, misplaced: MISPLACED } } }, other: {} } } } } },
  generators: {
    'web-tls': { kind: 'x509' }, db: { kind: 'password', length: 24 }, own: { command: ['make', 'it'], files: { a: { secret: true } }, prompts: { p: { type: 'hidden' } }, dependencies: ['db'] },
    scripted: { script: `echo ${CANARY} > $out/a`, files: { a: null }, runtimeInputs: [] }, wg: { kind: 'wireguard', share: true },
  },
};

const yaml = (name: string, of: string, parse: (text: string) => unknown, corpus: readonly string[], words: readonly string[]): Target => ({
  name, of, corpus, words: [...words, '&a', '*a', '<<: *a', '? ', '- ', ': ', '|', '>-', '!!binary', '---\n', '%YAML 1.2\n', '  '],
  check: (input) => {
    unless(isRefusal('invalid_config'), () => parse(input.toString()));
  },
});

/** Where a value may stand, as it should or by mistake; what stands elsewhere is told as it is. */
const SENSITIVE = /\.(userdata|script|staticOEMStrings\.\d+|runtimeSecrets\.[^.]+(\.oemCredentialName)?|credentials\.\d+\.(name|secret)|secrets\.\d+)$/;

function placesOfCanary(data: unknown, path: string): string[] {
  if (typeof data === 'string') return data.includes(CANARY) ? [path] : [];
  if (typeof data !== 'object' || data === null) return [];
  return Object.entries(data).flatMap(([key, value]) => [...(key.includes(CANARY) ? ['key'] : []), ...placesOfCanary(value, `${path}.${key}`)]);
}

/** No problem that is told may have a part of a value. */
const values = (name: string, of: string, parse: (text: string) => unknown, data: object, words: readonly string[]): Target => ({
  name, of, corpus: [JSON.stringify(data)], words, json: 'only', maxBytes: 64 * 1024,
  check: (input) => {
    const text = input.toString();
    const isSilent = placesOfCanary(unless(() => true, () => JSON.parse(text)), '').every((place) => SENSITIVE.test(place));
    unless(isSilent ? isSilentRefusal('invalid_config') : isRefusal('invalid_config'), () => parse(text));
  },
});

const CONFIG_WORDS = ['config', 'host_groups', 'userdata', 'userdata_file', 'credentials', 'ram_mb', 'secrets', 'all', 'none', 'network', 'user', 'unix://', 'firecracker', 'q35'];
const RUN_WORDS = ['runtimeSecrets', 'secretPath', 'oemCredentialName', 'staticOEMStrings', 'interfaces', 'volumes', 'balloon', 'vsock', 'systemd.unit', 'io.systemd.credential.binary:a=', 'firecracker'];
const INVENTORY_WORDS = ['instances', 'roles', 'machines', 'settings', 'config', 'generators', 'kind', 'x509', 'age', 'ssh', 'random', 'password', 'share', 'dependencies', 'var', 'generateSecret'];

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

const nix: Target = {
  name: 'nix-output',
  of: 'src/config/nix-evaluation.ts: what nix-instantiate prints',
  corpus: [JSON.stringify(INVENTORY), `error:\n       at /srv/i.nix:3:5:\n            2|   x = "${CANARY}";\n       error: cannot coerce a set to a string: "${CANARY}"\n`, `\x1b[31;1merror:\x1b[0m attribute 'a' missing\n  at /srv/i.nix:1:1:\n`],
  words: ['error: ', 'at /srv/i.nix:1:1:\n', `"${CANARY}"`, 'assertion \'', ' is not equal to '],
  check: (input) => {
    const text = input.toString();
    const { message, place = '' } = nixComplaint(text);
    assert.ok(message.length <= 500 && message !== '' && !/\n/.test(message + place));
    const refused = isSilentRefusal('invalid_config');
    const data = unless(refused, () => nixData(text, 'i.nix'));
    if (data === undefined) return;
    unless(isRefusal('invalid_config'), () => readVarsInventory(data, (issues) => issues.map((issue) => ({ code: 'invalid_config', message: issue.message }))));
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

export const fileTargets: readonly Target[] = [
  yaml('config', 'src/config/load.ts: slicer.yaml', config, [CONFIG_YAML, JSON.stringify(CONFIG)], CONFIG_WORDS),
  values('config-values', 'the same, for what its problems tell', config, CONFIG, CONFIG_WORDS),
  yaml('run-file', 'src/config/run-file-load.ts: files of `slicer run`', runFile, [JSON.stringify(RUN_FILE), 'name: db\nkernel: vmlinux\nmem: 256\nruntimeSecrets:\n  key:\n    secretPath: /run/key\n'], RUN_WORDS),
  values('run-file-values', 'the same, for what its problems tell', runFile, RUN_FILE, RUN_WORDS),
  yaml('inventory', 'src/config/inventory-load.ts, generators-load.ts: inventories', inventories, [JSON.stringify(INVENTORY), 'instances:\n  web:\n    roles: {guest: {machines: {host: }}}\ngenerators:\n  key:\n    kind: random\n'], INVENTORY_WORDS),
  values('inventory-values', 'the same, for what their problems tell', (text) => parseVarsInventory(text, 'i.yaml'), INVENTORY, INVENTORY_WORDS),
  record, auditLog, nix, ledger, kernelModule,
];
