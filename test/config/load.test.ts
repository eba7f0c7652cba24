import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { renderNewConfig } from '../../src/config/new-config.ts';
import { errorLines, SlicerError } from '../../src/errors/slicer-error.ts';
import { filesOf, group, groupProblems, noFiles, parse, problemsOf } from './config-fixture.ts';

const FULL = `
config:
  image: ./images/own.cpio
  kernel_file: /boot/vmlinuz
  hypervisor: qemu
  secrets_dir: secrets
  host_groups:
    - name: web
      count: 2
      vcpu: 4
      ram_gb: 2
      userdata_file: setup.sh
      machine: microvm
      network: user
      secrets: [api-key, tls.key, api-key]
      tags: [blue, front, blue]
      credentials:
        - {name: API_KEY, secret: api-key, trimNewline: true, deliver: both}
        - {name: login.motd, secret: motd, allowEmpty: true, allowReserved: true}
    - name: 1db
      ram_mb: 64
      image: tiny
      secrets: none
      userdata: |
        #!/bin/sh
        true
    - {name: a, ram_bytes: 134217728, secrets: all, image: ~/mine.cpio, hypervisor: cloud-hypervisor}
  api:
    port: 9000
    bind_address: ./api.sock
    socket_group: 1000
    auth:
      enabled: true
      token_file: token
`;

test('a full configuration is resolved: bytes, absolute paths, no doubles', () => {
  process.env['HOME'] = '/home/op';
  const files = filesOf({ '/srv/images/own.cpio': '', '/boot/vmlinuz': '', '/srv/setup.sh': '#!/bin/sh\necho ü\n', '/home/op/mine.cpio': '' });
  assert.deepEqual(parse(FULL, files), {
    hostGroups: [
      {
        name: 'web', count: 2, vcpu: 4, ramBytes: 2 * 1024 ** 3, userdata: '#!/bin/sh\necho ü\n',
        image: { kind: 'initrd', path: '/srv/images/own.cpio' }, kernelFile: '/boot/vmlinuz',
        vmm: { hypervisor: 'qemu', machine: 'microvm' }, network: 'user', secrets: ['api-key', 'tls.key'], tags: ['blue', 'front'],
        credentials: [
          { name: 'API_KEY', secret: 'api-key', trimNewline: true, allowEmpty: false, allowReserved: false, deliver: 'both' },
          { name: 'login.motd', secret: 'motd', trimNewline: false, allowEmpty: true, allowReserved: true },
        ],
      },
      {
        name: '1db', count: 0, vcpu: 1, ramBytes: 64 * 1024 ** 2, userdata: '#!/bin/sh\ntrue\n', image: { kind: 'tiny' },
        kernelFile: undefined, vmm: { hypervisor: 'qemu', machine: 'q35' }, network: 'none', secrets: [], credentials: [], tags: [],
      },
      {
        name: 'a', count: 0, vcpu: 1, ramBytes: 134217728, userdata: undefined,
        image: { kind: 'initrd', path: '/home/op/mine.cpio' }, kernelFile: '/boot/vmlinuz',
        vmm: { hypervisor: 'cloud-hypervisor', machine: 'q35' }, network: 'none', secrets: 'all', credentials: [], tags: [],
      },
    ],
    secretsDir: '/srv/secrets',
    api: {
      tcp: { address: '127.0.0.1', port: 9000 },
      unix: { path: '/srv/api.sock', group: '1000' },
      auth: { enabled: true, tokenFile: '/srv/token' },
      sockets: [],
      tokens: [],
    },
    audit: { path: '/srv/.slicer/audit.log', maxBytes: 64 * 1024 ** 2, keep: 3 },
  });
});

test('what is left out has a default', () => {
  assert.deepEqual(parse(group('')), {
    hostGroups: [{
      name: 'web', count: 0, vcpu: 1, ramBytes: 1024 ** 3, userdata: undefined, image: { kind: 'tiny' }, kernelFile: undefined,
      vmm: { hypervisor: 'qemu', machine: 'q35' }, network: 'none', secrets: 'all', credentials: [], tags: [],
    }],
    secretsDir: '/srv/.secrets',
    api: {
      tcp: undefined,
      unix: { path: '/srv/slicer.sock', group: undefined },
      auth: { enabled: true, tokenFile: '/var/lib/slicer/auth/token' },
      sockets: [],
      tokens: [],
    },
    audit: { path: '/srv/.slicer/audit.log', maxBytes: 64 * 1024 ** 2, keep: 3 },
  });
});

test('every problem of a file is shown at once, with line and column, in the order of the file', () => {
  const text = `config:
  host_groups:
  - name: Web
    storage: image
    vcpu: two
    ram_gb: 4
    ram_mb: 5
    secrets: [a, "b c"]
    network:
      bridge: brvm0
    image: ghcr.io/somebody/image:latest
    tagz: [x]
    colour: red
    userdata_file: none.sh
  -
  - {vcpu: 0}
  - {name: a, ram_gb: 1}
  - {name: a, ram_gb: "4", vcpu:, count: 1.5}
  github_user: somebody
  hypervisor: xen
  kernel_file: ./none
  port: 80
  api:
    port: 80800
    bind_address: "0.0.0.0:"
    auth: {enabled: false, token: abc}
other: 1
`;
  assert.deepEqual(problemsOf(text).map(({ code, message }) => `${code} ${message}`), [
    '3:11: config.host_groups[0].name: expected a name of 1 to 53 of a-z 0-9 -, not beginning or ending with -, got "Web"',
    '4:5: config.host_groups[0].storage: is a key of Slicer that this version does not support',
    '5:11: config.host_groups[0].vcpu: expected an integer of 1 to 255, got "two"',
    '7:5: config.host_groups[0].ram_mb: expected one of ram_gb, ram_mb, ram_bytes, got ram_gb too',
    '7:13: config.host_groups[0].ram_mb: expected an integer of 64 to 4194304, got 5',
    '8:18: config.host_groups[0].secrets[1]: expected the name of a secret: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot',
    '10:7: config.host_groups[0].network: expected none or user, got a map; the networks of Slicer with a bridge or isolated are not supported by this version',
    '11:12: config.host_groups[0].image: expected tiny, debian, or the path of an initramfs that begins with / or ./, got "ghcr.io/somebody/image:latest"',
    '12:5: config.host_groups[0].tagz: is no key of a host group; did you mean "tags"',
    '13:5: config.host_groups[0].colour: is no key of a host group; expected one of name, count, vcpu, ram_gb, ram_mb, ram_bytes, userdata, userdata_file, image, hypervisor, machine, network, secrets, tags, credentials',
    '14:20: config.host_groups[0].userdata_file: "/srv/none.sh" does not exist',
    '15:4: config.host_groups[1]: expected a host group: a map with name, vcpu and ram_gb, got nothing',
    '16:5: config.host_groups[2].name: is missing; expected a name of 1 to 53 of a-z 0-9 -, not beginning or ending with -',
    '16:5: config.host_groups[2]: expected one of ram_gb, ram_mb, ram_bytes, got none',
    '16:12: config.host_groups[2].vcpu: expected an integer of 1 to 255, got 0',
    '18:12: config.host_groups[4].name: expected a name of its own, got that of config.host_groups[3]',
    '18:23: config.host_groups[4].ram_gb: expected an integer of 1 to 4096, got "4"',
    '18:33: config.host_groups[4].vcpu: expected an integer of 1 to 255, got nothing',
    '18:42: config.host_groups[4].count: expected an integer of 0 to 1000, got 1.5',
    '19:3: config.github_user: is a key of Slicer that this version does not support',
    '20:15: config.hypervisor: expected one of qemu, cloud-hypervisor, firecracker, got "xen"',
    '21:16: config.kernel_file: "/srv/none" does not exist',
    '22:3: config.port: is a key of config.api, not of config',
    '24:11: config.api.port: expected an integer of 1 to 65535, got 80800',
    '26:21: config.api.auth.enabled: expected true, since other machines reach bind_address 0.0.0.0; got false',
    '26:28: config.api.auth.token: is no key of config.api.auth; expected one of enabled, token_file',
    '27:1: other: is no key of the top; expected one of config',
  ].map((line) => `invalid_config slicer.yaml:${line}`));
});

const SYNTAX: readonly [string, string][] = [
  ['', '1:1: expected a map with config at the top, got nothing'],
  ['- x', '1:1: expected a map with config at the top, got a list'],
  ['config:', '1:8: config: expected a map with host_groups, got nothing'],
  ['config: {host_groups: []}', '1:23: config.host_groups: expected a list of at least one host group, got a list'],
  ['config: {host_groups: {}}', '1:23: config.host_groups: expected a list of at least one host group, got a map'],
  ['config: {}', '1:9: config.host_groups: is missing; expected a list of at least one host group'],
  ['config: [', '1:10: the indentation fits nothing above, or a bracket is not closed'],
  ['config: "x', '1:11: a quote, bracket, comma or space is missing'],
  ['a: 1\na: 2', '2:1: the key is there twice'],
  ['config:\n\thost_groups: x', '2:1: expected spaces for indentation, got a tab'],
  ['config: *x', '1:9: the alias has no anchor above it'],
  ['a: b: c', '1:4: expected a value, got a second ": " on the line; put the text in quotes'],
  ['x: "\\q"', '1:5: the escape sequence in double quotes is unknown'],
  ['--- 1\n--- 2', '2:1: expected one document, got a second one'],
  ['config: !foo {}', '1:9: the tag is unknown'],
  ['[a]: x', '1:1: expected text as a key'],
  ['config: {api: {__proto__: 1}}', '1:16: expected another key than __proto__'],
];

for (const [text, message] of SYNTAX) {
  test(`${JSON.stringify(text)} is refused: ${message}`, () => {
    assert.deepEqual(problemsOf(text).map((problem) => problem.message), [`slicer.yaml:${message}`]);
  });
}

test('a document that doubles itself with aliases is refused', () => {
  const levels = Array.from({ length: 12 }, (_, index) => `l${index}: &l${index} [${index === 0 ? 'x' : `*l${index - 1},*l${index - 1}`}]`);
  assert.match(problemsOf(levels.join('\n'))[0]?.message ?? '', /expected at most 100 uses of an alias$/);
});

test('an anchor may stand for a host group\'s values, and problems point to where they are', () => {
  const text = 'config:\n  host_groups:\n    - {name: a, ram_gb: 1, secrets: &names [x, y z]}\n    - {name: b, ram_gb: 1, secrets: *names}\n';
  assert.deepEqual(problemsOf(text).map(({ message }) => message.replace(/: expected.*/, '')), [
    'slicer.yaml:3:48: config.host_groups[0].secrets[1]', 'slicer.yaml:3:48: config.host_groups[1].secrets[1]',
  ]);
});

const GROUP_CASES: readonly [string, string[]][] = [
  ['vcpu: 255', []],
  ['vcpu: 256', ['.vcpu: expected an integer of 1 to 255, got 256']],
  ['vcpu: true', ['.vcpu: expected an integer of 1 to 255, got true']],
  ['count: -1', ['.count: expected an integer of 0 to 1000, got -1']],
  ['ram_bytes: 67108864', []],
  ['ram_bytes: 67108865', ['.ram_bytes: expected a multiple of 1048576 from 67108864 to 4398046511104, got 67108865']],
  ['secrets: []', []],
  ['secrets: some', ['.secrets: expected all, none, or a list of names of secrets']],
  ['secrets: {a: b}', ['.secrets: expected all, none, or a list of names of secrets']],
  ['secrets: [a, 1, .b]', [
    '.secrets[1]: expected the name of a secret: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot',
    '.secrets[2]: expected the name of a secret: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot',
  ]],
  ['credentials: []', []],
  ['credentials: [{name: A, secret: a}, {name: B, secret: a, trimNewline: true}]', []],
  ['credentials: api-key', ['.credentials: expected a list of credentials: maps with name and secret']],
  ['credentials: [api-key]', ['.credentials[0]: expected a credential: a map with name and secret']],
  ['credentials: [{name: A}]', ['.credentials[0].secret: expected the name of a secret: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot']],
  ['credentials: [{name: 1, secret: a}]', ['.credentials[0].name: expected the name of a credential']],
  ['credentials: [{name: A, secret: a, trim: true}]', ['.credentials[0].trim: is no key of a credential; expected one of name, secret, trimNewline, allowEmpty, allowReserved, deliver']],
  ['credentials: [{name: A, secret: a, trimNewline: 1}]', ['.credentials[0].trimNewline: expected true or false, got 1']],
  ['credentials: [{name: A, secret: a, deliver: boot}, {name: B, secret: a, deliver: live}]', []],
  ['credentials: [{name: A, secret: a, deliver: canary}]', ['.credentials[0].deliver: expected one of boot, live, both']],
  ['hypervisor: firecracker', []],
  ['hypervisor: xen', ['.hypervisor: expected one of qemu, cloud-hypervisor, firecracker, got "xen"']],
  ['machine: microvm', []],
  ['machine: pc', ['.machine: expected one of q35, microvm, got "pc"']],
  ['credentials: [{name: a/b, secret: a}, {name: A, secret: a}, {name: A, secret: b}, {name: ssh.x, secret: c}, {name: ssh.y, secret: c, allowReserved: true}]', [
    '.credentials[0].name: the name of 3 bytes that secret "a" is to have as a credential must be a file name of 1 to 255 printable ASCII characters without ":" and "="',
    '.credentials[2].name: credential "A" is there twice, for secrets "a" and "b"; systemd takes the first and drops the other in silence',
    '.credentials[3].name: credential "ssh.x" is one of ssh.*, which systemd acts on by itself: who sends it is root in the guest; choose another name, or say that it is meant: allowReserved',
  ]],
  ['secret: api-key', ['.secret: is no key of a host group; did you mean "secrets"']],
  ['network: bridge', ['.network: expected none or user, got "bridge"']],
  ['image: tiny', []],
  ['image: debian', []],
  ['image: debian', []],
  ['image: own', ['.image: expected tiny, debian, or the path of an initramfs that begins with / or ./, got "own"']],
  ['image: ../own', ['.image: "/own" does not exist']],
  ['tags: [""]', ['.tags[0]: expected a tag of 1 to 128 printable characters, got ""']],
  ['tags: web', ['.tags: expected a list of at most 64 tags, got "web"']],
  ['userdata: 5', ['.userdata: expected a script, got 5']],
  [`userdata: ${'x'.repeat(262145)}`, ['.userdata: expected a script of at most 262144 bytes, got 262145']],
  ['kernel_file: /boot/vmlinuz', ['.kernel_file: is a key of config, not of a host group']],
  ['storage_size: 25G', ['.storage_size: is a key of Slicer that this version does not support']],
  ['userdata-file: x', ['.userdata-file: is no key of a host group; did you mean "userdata_file"']],
];

for (const [line, messages] of GROUP_CASES) {
  test(`a host group with ${line.slice(0, 40)} ${messages.length === 0 ? 'is taken' : 'is refused'}`, () => {
    if (messages.length === 0) parse(group(line));
    else assert.deepEqual(groupProblems(line), messages);
  });
}

test('what is QEMU\'s alone is refused by name for a group on another hypervisor, its own or that of the file', () => {
  for (const hypervisor of ['cloud-hypervisor', 'firecracker']) {
    const problems = [
      `machine: is QEMU's, and hypervisor is ${hypervisor}; leave it out`,
      `network: user is QEMU's own network stack, and hypervisor is ${hypervisor}; say none, or hypervisor: qemu`,
    ];
    const wishes = 'machine: q35\n      network: user';
    assert.deepEqual(groupProblems(`hypervisor: ${hypervisor}\n      ${wishes}`), problems.map((problem) => `.${problem}`));
    assert.deepEqual(problemsOf(`${group(wishes)}  hypervisor: ${hypervisor}\n`).map(({ message }) => message.replace(/^.*host_groups\[0\]\./, '')), problems);
    assert.equal(parse(`${group(`hypervisor: qemu\n      ${wishes}`)}  hypervisor: ${hypervisor}\n`).hostGroups[0]?.vmm.hypervisor, 'qemu');
    assert.deepEqual(parse(`${group('')}  hypervisor: ${hypervisor}\n`).hostGroups[0]?.vmm, { hypervisor, machine: 'q35' });
  }
});

test('a script may come from one place only, and must be UTF-8', () => {
  assert.deepEqual(groupProblems('userdata: a\n      userdata_file: b', filesOf({ '/srv/b': '' })), [
    '.userdata_file: expected one of userdata, userdata_file, got userdata too',
  ]);
  assert.deepEqual(groupProblems('userdata_file: b', filesOf({ '/srv/b': new Uint8Array([0xff]) })), ['.userdata_file: "/srv/b" is not UTF-8']);
});

test('a kernel of one\'s own that no host group would boot is refused', () => {
  const text = `${group('')}  kernel_file: /boot/vmlinuz\n`;
  assert.deepEqual(problemsOf(text, filesOf({ '/boot/vmlinuz': '' })).map(({ message }) => message), [
    'slicer.yaml:6:3: config.kernel_file: is for images of one\'s own; every host group has one of Slicer\'s, which has a kernel',
  ]);
});

test('a file on disk is read, and what is no file is refused', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'folder'));
  writeFileSync(join(directory, 'long.sh'), 'x'.repeat(262145));
  writeFileSync(join(directory, 'slicer.yaml'), group('userdata_file: long.sh\n      image: ./folder'));
  assert.throws(() => loadConfig('slicer.yaml', directory), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(error.problems.map(({ message }) => message), [
      `slicer.yaml:5:22: config.host_groups[0].userdata_file: "${directory}/long.sh" is 262145 bytes, expected at most 262144`,
      `slicer.yaml:6:14: config.host_groups[0].image: "${directory}/folder" is not a file`,
    ]);
    return true;
  });
  writeFileSync(join(directory, 'slicer.yaml'), group('userdata_file: ok.sh'));
  writeFileSync(join(directory, 'ok.sh'), 'true');
  assert.equal(loadConfig(join(directory, 'slicer.yaml'), directory).hostGroups[0]?.userdata, 'true');
});

test('a file that is not there is an error with the command that makes one', () => {
  assert.throws(() => loadConfig('none.yaml', '/nonexistent'), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(errorLines(error), [
      'slicer: error: "none.yaml" does not exist', 'slicer: hint: slicer new GROUP > none.yaml',
    ]);
    assert.equal(error.code, 'not_found');
    return true;
  });
});

test('no text whatever makes the reader throw anything but its problems, each with a place in the text', () => {
  const piece = fc.oneof(
    fc.constantFrom('config:', ' ', '\n', '  ', '- ', 'host_groups:', 'name: a', 'ram_gb: 1', '[', ']', '{', '}', '*a', '&a ', '? ', '"', '|', ': ', '!!binary ', '<<: '),
    fc.string({ maxLength: 6 }),
  );
  fc.assert(fc.property(fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join('')), (text) => {
    const lines = text.split('\n').length;
    try {
      parseConfig(text, { file: 'f', directory: '/srv', files: noFiles });
    } catch (error) {
      assert.ok(error instanceof SlicerError, String(error));
      for (const { message } of error.problems) {
        const [, line, column] = /^f:(\d+):(\d+): /.exec(message) ?? [];
        assert.ok(Number(line) >= 1 && Number(line) <= lines, message);
        assert.ok(Number(column) >= 1, message);
      }
    }
  }), { numRuns: 500 });
});

test('a syntax problem does not show the text around it', () => {
  for (const text of ['config: "canary', 'config:\n  a: canary: b', 'canary\n  - x: [', 'config: {canary', 'x: *canary', 'config: !canary x']) {
    for (const { message } of problemsOf(text)) assert.doesNotMatch(message, /canary/);
  }
});

test('what `slicer new` prints loads without a problem, also with every comment in it taken for real', () => {
  for (const name of ['demo', 'a', 'x-1', '123', '1e5', 'true', 'null', 'a'.repeat(53)]) {
    const config = parse(renderNewConfig(name));
    assert.equal(config.hostGroups[0]?.name, name);
    assert.equal(config.hostGroups[0]?.ramBytes, 512 * 1024 ** 2);
    assert.equal(config.api.unix?.path, '/srv/slicer.sock');
  }
  const uncommented = renderNewConfig('demo', { count: 3, vcpu: 2, ramMb: 1024 })
    .replace(/^( *)# (?=(image|userdata|tags|kernel_file|socket_group|port|auth|  enabled|  token_file|sockets|tokens|credentials|  - (path|name)|    (group|role|token_file|secret|deliver)|audit|  path|  max_size|  keep|  ls)\b|  #!)/gm, '$1')
    .replace('image: tiny', 'image: ./own.cpio');
  const config = parse(uncommented, filesOf({ '/srv/own.cpio': '', '/srv/vmlinuz': '' }));
  assert.deepEqual(config.api, {
    tcp: { address: '127.0.0.1', port: 8080 },
    unix: { path: '/srv/slicer.sock', group: 'slicer' },
    auth: { enabled: true, tokenFile: '/var/lib/slicer/auth/token' },
    sockets: [{ path: '/srv/read.sock', group: 'monitoring', role: 'read' }],
    tokens: [{ name: 'ci', tokenFile: '/var/lib/slicer/auth/ci', role: 'admin' }],
  });
  assert.deepEqual(config.audit, { path: '/srv/.slicer/audit.log', maxBytes: 64 * 1024 ** 2, keep: 3 });
  assert.deepEqual(config.hostGroups[0]?.tags, ['web', 'blue']);
  assert.equal(config.hostGroups[0]?.count, 3);
  assert.equal(config.hostGroups[0]?.kernelFile, '/srv/vmlinuz');
});

test('`slicer new` refuses a name that no host group can have', () => {
  for (const name of ['', 'Web', '-a', 'a-', 'a_b', 'a'.repeat(54), 'a\nb: c']) {
    assert.throws(() => renderNewConfig(name), { code: 'usage' });
  }
});

test('TCP without a token is refused where VMs reach the loopback', () => {
  const text = (network: string): string => `${group(`network: ${network}`)}  api: {port: 8080, auth: {enabled: false}}\n`;
  assert.equal(parse(text('none')).api.auth.enabled, false);
  assert.deepEqual(problemsOf(text('user')).map(({ message }) => message), [
    'slicer.yaml:6:37: config.api.auth.enabled: expected true, since VMs with network: user reach bind_address 127.0.0.1; got false',
  ]);
});

test('the Debian image takes 128 MiB, in whichever unit', () => {
  const said = (line: string): string[] => problemsOf(group(`image: debian\n      ${line}`)).map(({ message }) => message.replace(/^.*host_groups\[0\]\./, ''));
  assert.deepEqual(said('ram_mb: 127'), ['ram_mb: expected 128 MiB or more, which image: debian needs, got 127 MiB']);
  assert.deepEqual(said(`ram_bytes: ${64 * 1024 ** 2}`), ['ram_bytes: expected 128 MiB or more, which image: debian needs, got 64 MiB']);
  assert.equal(parse(group('image: debian\n      ram_mb: 128')).hostGroups[0]?.ramBytes, 128 * 1024 ** 2);
});
