// Files of configuration that a user or another program wrote: YAML's reader with all that follows it, and what
// each of the readers behind it makes of data.
import assert from 'node:assert/strict';
import { readCompactJson } from '../../../src/config/compact-json.ts';
import type { ConfigDocument } from '../../../src/config/document.ts';
import { readVarsInventory } from '../../../src/config/generators-load.ts';
import { readInventoryDocument } from '../../../src/config/inventory-load.ts';
import { configOf } from '../../../src/config/load.ts';
import { nixComplaint, nixData } from '../../../src/config/nix-evaluation.ts';
import { problemAt, problemsOf } from '../../../src/config/problems.ts';
import { readRunDocument } from '../../../src/config/run-file-parse.ts';
import { readDocument } from '../../../src/config/yaml-document.ts';
import { throwIfAny } from '../../../src/errors/slicer-error.ts';
import { noFiles } from '../../config/config-fixture.ts';
import type { Target } from '../engine.ts';
import { assertNoControls, CANARY, isRefusal, isSilentRefusal, unless } from '../expectations.ts';

type Read = (document: ConfigDocument) => unknown;

const config: Read = (document) => configOf(document, { file: 'slicer.yaml', directory: '/srv', files: noFiles });
const runFile: Read = (document) => throwIfAny(readRunDocument(document, { file: 'vm.yaml', directory: '/srv' }).problems);
const inventory: Read = (document) => {
  throwIfAny(document.syntaxProblems.map((problem) => problemAt('i.yaml', problem, problem.message)));
  const { problems } = readInventoryDocument({ data: document.data, problems: (issues) => problemsOf('i.yaml', document, issues) }, { file: 'i.yaml', directory: '/srv' });
  throwIfAny(problems);
};
const vars: Read = (document) => readVarsInventory(document.data, (issues) => problemsOf('i.yaml', document, issues));

/** No name of anything: somebody put a value in a name's place. */
const MISPLACED = `${CANARY}:= /`;

// In parts: what a reader takes for each input is the size of a part, and as much of it is changed.

const CONFIG = [
  {
    image: 'tiny', hypervisor: 'qemu', secrets_dir: 'secrets',
    host_groups: [
      { name: 'web', count: 2, vcpu: 4, ram_gb: 2, userdata: `#!/bin/sh\n${CANARY}\n`, machine: 'microvm', network: 'user', secrets: ['api-key', MISPLACED], tags: ['blue'], credentials: [{ name: 'API_KEY', secret: 'api-key', trimNewline: true, deliver: 'both' }, { name: MISPLACED, secret: MISPLACED }] },
    ],
  },
  {
    host_groups: [{ name: 'db', ram_mb: 64, secrets: 'none' }, { name: 'a', ram_bytes: 134217728, secrets: 'all', hypervisor: 'cloud-hypervisor' }],
    audit: { path: 'audit.log', max_size: '64MiB', keep: 3 },
  },
  {
    api: {
      port: 9000, bind_address: './api.sock', socket_group: 1000, auth: { enabled: true, token_file: 'token' },
      sockets: [{ path: './read.sock', group: 'adm', role: 'read' }], tokens: [{ name: 'ci', token_file: 'ci', role: 'admin' }],
    },
  },
].map((config) => ({ config }));

const RUN_FILE = [
  {
    volumes: [{ image: 'data.img', size: 64, label: 'data', mountPoint: '/data', fsType: 'xfs' }, { image: '/srv/ro.img', readOnly: true }],
    shares: [{ tag: 'ro-store', socket: 'fs.sock', source: '/nix/store', mountPoint: '/nix/.ro-store', proto: 'virtiofs' }],
  },
  {
    hypervisor: 'qemu', machine: 'microvm', vcpu: 2, initrd: '/boot/initrd', cmdline: 'console=ttyS0',
    interfaces: [{ type: 'tap', id: 'vm-db', mac: '02:00:00:00:00:01' }, { type: 'macvtap', id: 'mv0' }, { type: 'user' }],
    vsock: { cid: 7, socket: 'db.vsock' }, balloon: { size: 64, deflateOnOOM: false }, watchdog: true,
  },
  {
    runtimeSecrets: { 'api-key': { oemCredentialName: 'API_KEY', secretPath: '/run/secrets/api', trimNewline: true, deliver: 'both' }, 'from-unit': null, misplaced: MISPLACED, other: { oemCredentialName: MISPLACED } },
    staticOEMStrings: [`io.systemd.credential:ENVIRONMENT=${CANARY}`],
  },
].map((part) => ({ name: 'db', kernel: 'vmlinux', mem: 1024, ...part }));

const PLACED = { mem: 256, image: 'tiny', runtimeSecrets: { key: { generateSecret: true }, tls: { var: 'web-tls/key.pem' }, misplaced: MISPLACED } };
const INVENTORY = [
  { instances: { web: { module: { name: 'microvm', input: 'slicer' }, roles: { guest: { machines: { host: { settings: PLACED }, other: {} } } } } }, generators: { 'web-tls': { kind: 'x509' } } },
  { generators: { db: { kind: 'password', length: 24 }, own: { command: ['make', 'it'], files: { a: { secret: true } }, prompts: { p: { type: 'hidden' } }, dependencies: ['db'] } } },
  { generators: { scripted: { script: `echo ${CANARY} > $out/a`, files: { a: null }, runtimeInputs: [] }, wg: { kind: 'wireguard', share: true } } },
];

/** Where a value may stand, as it should or by mistake; what stands elsewhere is told as it is. */
const SENSITIVE = /\.(userdata|script|staticOEMStrings\.\d+|runtimeSecrets\.[^.]+(\.oemCredentialName)?|credentials\.\d+\.(name|secret)|secrets\.\d+)$/;

/** Spoilt, too, as `assertNoCanary` looks for it. */
const PART_OF_CANARY = /xq7z|CANARY/;

function placesOfCanary(data: unknown, path: string): string[] {
  if (typeof data === 'string') return PART_OF_CANARY.test(data) ? [path] : [];
  if (typeof data !== 'object' || data === null) return [];
  return Object.entries(data).flatMap(([key, value]) => [...(PART_OF_CANARY.test(key) ? ['key'] : []), ...placesOfCanary(value, `${path}.${key}`)]);
}

const CONFIG_WORDS = ['config', 'host_groups', 'userdata', 'userdata_file', 'credentials', 'ram_mb', 'secrets', 'all', 'none', 'network', 'user', 'unix://', 'firecracker', 'q35'];
const RUN_WORDS = ['runtimeSecrets', 'secretPath', 'oemCredentialName', 'staticOEMStrings', 'interfaces', 'volumes', 'balloon', 'vsock', 'systemd.unit', 'io.systemd.credential.binary:a=', 'firecracker'];
const INVENTORY_WORDS = ['instances', 'roles', 'machines', 'settings', 'config', 'generators', 'kind', 'x509', 'age', 'ssh', 'random', 'password', 'share', 'dependencies', 'var', 'generateSecret'];

/** Short, so that there are many: what is in them is what the readers of data are fuzzed with. */
const TEXTS = [
  'config:\n  image: tiny\n  host_groups:\n    - name: web\n      ram_gb: 2\n      secrets: [api-key, tls.key]\n      tags: &tags [blue, front]\n    - {name: db, ram_mb: 64, secrets: none, tags: *tags}\n',
  'config:\n  host_groups:\n    - name: a\n      ram_mb: 64\n      userdata: |\n        #!/bin/sh\n        true\n  api:\n    port: 9000\n',
  'name: db\nkernel: vmlinux\nmem: 256\nruntimeSecrets:\n  key:\n    secretPath: /run/key\n',
  'instances:\n  web:\n    roles: {guest: {machines: {host: {settings: {mem: 64, image: tiny}}}}}\ngenerators:\n  key:\n    kind: random\n',
  '{"name":"db","kernel":"vmlinux","mem":256,"interfaces":[{"type":"user"}]}',
];

const yaml: Target = {
  name: 'yaml',
  of: 'src/config/yaml-document.ts, compact-json.ts: texts of YAML and JSON, and all that reads what is in them',
  corpus: TEXTS,
  words: [...CONFIG_WORDS, ...RUN_WORDS, ...INVENTORY_WORDS, '&a', '*a', '<<: *a', '? ', '- ', ': ', '|', '>-', '!!binary', '---\n', '%YAML 1.2\n', '  '],
  maxBytes: 1024,
  check: (input, random) => {
    const text = input.toString();
    const document = readDocument(text);
    const lines = text.split('\n').length;
    for (const { line, column, message } of document.syntaxProblems) {
      assert.ok(line >= 1 && line <= lines && column >= 1 && column <= text.length + 1, `${line}:${column} of ${lines} lines`);
      assertNoControls(message);
    }
    // The quick reader reads nothing that the other one reads otherwise, or refuses.
    const compact = readCompactJson(text);
    if (compact !== undefined) assert.deepEqual(document.data, compact.data);
    unless(isRefusal('invalid_config'), () => random.pick([config, runFile, inventory, vars])(document));
  },
};

/** One in so many goes through YAML: its reader takes ten times as long as those of data. */
const BY_YAML = 64;

/** No problem that is told may have a part of a value. */
const values = (name: string, of: string, readers: readonly Read[], corpus: readonly object[], words: readonly string[]): Target => ({
  name, of, corpus: corpus.map((data) => JSON.stringify(data)), words, json: 'only', maxBytes: 64 * 1024,
  check: (input, random) => {
    const text = input.toString();
    const compact = readCompactJson(text);
    const document = compact === undefined || random.once(BY_YAML) ? readDocument(text) : { ...compact, syntaxProblems: [], positionOf: () => ({ line: 1, column: 1 }) };
    const isSilent = placesOfCanary(compact?.data ?? JSON.parse(text), '').every((place) => SENSITIVE.test(place));
    for (const read of readers) unless(isSilent ? isSilentRefusal('invalid_config') : isRefusal('invalid_config'), () => read(document));
  },
});

const nix: Target = {
  name: 'nix-output',
  of: 'src/config/nix-evaluation.ts: what nix-instantiate prints',
  corpus: [...INVENTORY.map((data) => JSON.stringify(data)), `error:\n       at /srv/i.nix:3:5:\n            2|   x = "${CANARY}";\n       error: cannot coerce a set to a string: "${CANARY}"\n`, `\x1b[31;1merror:\x1b[0m attribute 'a' missing\n  at /srv/i.nix:1:1:\n`],
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

export const configurationTargets: readonly Target[] = [
  yaml,
  values('config', 'src/config/load.ts, rules.ts: slicer.yaml as data', [config], CONFIG, CONFIG_WORDS),
  values('run-file', 'src/config/run-file-parse.ts: files of `slicer run` as data', [runFile], RUN_FILE, RUN_WORDS),
  values('inventory', 'src/config/inventory-load.ts, generators-load.ts: inventories as data', [inventory, vars], INVENTORY, INVENTORY_WORDS),
  nix,
];
