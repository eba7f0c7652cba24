// `slicer explain` and what `slicer check` says of deliveries: without a daemon, from the store as it is.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, beforeEach, test } from 'node:test';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
/** Where a VMM is found, whatever this machine has. */
const programs = join(directory, 'programs');
const put = (name: string, value: string | Uint8Array): void => writeFileSync(join(directory, '.secrets', name), value, { mode: 0o600 });

before(() => {
  mkdirSync(programs);
  for (const program of ['qemu-system-x86_64', 'cloud-hypervisor', 'firecracker']) writeFileSync(join(programs, program), '', { mode: 0o755 });
  environment['PATH'] = `${programs}:${environment['PATH']}`;
  mkdirSync(join(directory, '.secrets'), { mode: 0o700 });
  put('api-key', 'canary-key\n');
  put('db', 'canary-db');
  put('big', 'canary'.repeat(10_000));
  put('empty', '');
  writeFileSync(join(directory, 'slicer.yaml'), `config:
  image: ./own.cpio
  host_groups:
    - name: web
      ram_mb: 192
      secrets: [db]
      credentials:
        - {name: API_KEY, secret: api-key, trimNewline: true}
        - {name: DB, secret: db}
    - {name: plain, ram_mb: 192, secrets: none}
`);
  const credentials = 'credentials: [{name: API_KEY, secret: api-key}, {name: DB, secret: db, deliver: live}]';
  writeFileSync(join(directory, 'vmms.yaml'), `config:
  image: ./own.cpio
  host_groups:
    - {name: micro, ram_mb: 192, secrets: none, machine: microvm, ${credentials}}
    - {name: ch, ram_mb: 192, secrets: none, hypervisor: cloud-hypervisor, ${credentials}}
    - {name: fc, ram_mb: 192, secrets: [db], hypervisor: firecracker, ${credentials}}
`);
  writeFileSync(join(directory, 'refused.yaml'), `config:
  image: ./own.cpio
  host_groups:
    - {name: fc, ram_mb: 192, secrets: none, hypervisor: firecracker, credentials: [{name: DB, secret: db, deliver: boot}]}
    - {name: micro, ram_mb: 192, secrets: none, machine: microvm, credentials: [{name: a-name-of-twenty-nine-letters, secret: db}]}
`);
  writeFileSync(join(directory, 'bad.yaml'), `config:
  image: ./own.cpio
  host_groups:
    - name: web
      ram_mb: 192
      secrets: [gone, db]
      credentials:
        - {name: ABSENT, secret: absent}
        - {name: EMPTY, secret: empty}
        - {name: BIG, secret: big}
        - {name: DB, secret: db}
`);
  writeFileSync(join(directory, 'absent.yaml'), `config:
  image: ./own.cpio
  host_groups: [{name: web, ram_mb: 192, secrets: [gone], credentials: [{name: ABSENT, secret: absent}]}]
`);
  writeFileSync(join(directory, 'names.yaml'), `config:
  image: ./own.cpio
  host_groups:
    - name: web
      ram_mb: 192
      credentials: [{name: systemd.extra-unit.x, secret: db}, {name: canary/x, secret: db}]
`);
  writeFileSync(join(directory, 'own.cpio'), '');
});
beforeEach(() => chmodSync(join(directory, '.secrets'), 0o700));

transcript('explain shows what a launch would deliver, over which channel, and how full the table is', `
$ slicer explain web
host group "web" on QEMU q35
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST            TABLE
------   ----  -------  ----        ------------            -----
api-key  10    boot     OEM string  credential API_KEY      54
db       9     boot     OEM string  credential DB           45
db       9     live     file        /run/slicer/secrets/db  -

boot channel, with Slicer's own credentials:
  OEM strings       4 of 255
  table bytes       286 of 32338
  credential bytes  86 of 1048576
$ slicer explain web api-key | head -4
host group "web" on QEMU q35
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST        TABLE
------   ----  -------  ----        ------------        -----
api-key  10    boot     OEM string  credential API_KEY  54
$ slicer explain plain
host group "plain" on QEMU q35

boot channel, with Slicer's own credentials:
  OEM strings       2 of 255
  table bytes       187 of 32338
  credential bytes  67 of 1048576
$ slicer explain web nothing
! slicer: error: host group "web" delivers no secret "nothing"
! slicer: hint: slicer explain web
? 4
$ slicer explain db
! slicer: error: slicer.yaml has no host group "db"
! slicer: hint: it has web, plain
? 4
$ slicer explain web --config=none.yaml
! slicer: error: "none.yaml" does not exist
! slicer: hint: slicer new GROUP > none.yaml
? 4
$ slicer check
slicer.yaml: no problems; host groups: web, plain

host group "web" on QEMU q35
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST            TABLE
------   ----  -------  ----        ------------            -----
api-key  10    boot     OEM string  credential API_KEY      54
db       9     boot     OEM string  credential DB           45
db       9     live     file        /run/slicer/secrets/db  -

boot channel, with Slicer's own credentials:
  OEM strings       4 of 255
  table bytes       286 of 32338
  credential bytes  86 of 1048576

host group "plain" on QEMU q35

boot channel, with Slicer's own credentials:
  OEM strings       2 of 255
  table bytes       187 of 32338
  credential bytes  67 of 1048576
`);

transcript('each VMM has its own channels, forms and budgets', `
$ slicer explain micro --config=vmms.yaml
host group "micro" on QEMU microvm
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST        TABLE
------   ----  -------  ----        ------------        -----
api-key  11    boot     fw_cfg      credential API_KEY  -
db       9     live     credential  /run/credstore/DB   -

boot channel, with Slicer's own credentials:
  fw_cfg files      3 of 255
  credential bytes  78 of 1048576
$ slicer explain fc --config=vmms.yaml
host group "fc" on Firecracker
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST            TABLE
------   ----  -------  ----        ------------            -----
api-key  11    live     credential  /run/credstore/API_KEY  -
db       9     live     credential  /run/credstore/DB       -
db       9     live     file        /run/slicer/secrets/db  -

no boot channel
$ slicer check refused.yaml
! slicer: error: credential "DB" of host group "fc" says "deliver: boot"; Firecracker has no boot channel
! slicer: hint: leave "deliver" out, or say "deliver: live"
! slicer: error: credential "a-name-of-twenty-nine-letters" of host group "micro" has a name of 29 characters; fw_cfg of QEMU microvm takes 28 after "opt/io.systemd.credentials/"
! slicer: hint: choose a shorter name, or deliver this one over the live channel: deliver: live, or as a file: --secret=db
? 2
$ slicer explain fc db --config=refused.yaml
! slicer: error: credential "DB" of host group "fc" says "deliver: boot"; Firecracker has no boot channel
! slicer: hint: leave "deliver" out, or say "deliver: live"
? 2
`);

transcript('what is not there is a warning, what cannot be is an error, and explain shows the rest', `
$ slicer check absent.yaml | head -2
absent.yaml: no problems; host groups: web

! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
$ slicer check bad.yaml
! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
! slicer: error: secret "empty" is empty, and credential "EMPTY" of host group "web" is not said to be so
! slicer: hint: slicer secret update empty, or say that it is meant: allowEmpty
! slicer: error: secret "big" is 80034 bytes as an OEM string for credential "BIG"; the table of host group "web" has 32338, 223 used
! slicer: hint: deliver this one over the live channel: deliver: live, or as a file: --secret=big
? 2
$ slicer explain web --config=bad.yaml
host group "web" on QEMU q35
SECRET  SIZE   CHANNEL  FORM        IN THE GUEST              TABLE
------  ----   -------  ----        ------------              -----
absent  -      boot     OEM string  credential ABSENT         -
empty   0      boot     OEM string  credential EMPTY          36
big     60000  boot     OEM string  credential BIG            80034
db      9      boot     OEM string  credential DB             45
db      9      live     file        /run/slicer/secrets/db    -
gone    -      live     file        /run/slicer/secrets/gone  -

boot channel, with Slicer's own credentials:
  OEM strings       6 of 255
  table bytes       80302 of 32338
  credential bytes  60076 of 1048576
! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
! slicer: error: secret "empty" is empty, and credential "EMPTY" of host group "web" is not said to be so
! slicer: hint: slicer secret update empty, or say that it is meant: allowEmpty
! slicer: error: secret "big" is 80034 bytes as an OEM string for credential "BIG"; the table of host group "web" has 32338, 223 used
! slicer: hint: deliver this one over the live channel: deliver: live, or as a file: --secret=big
? 2
$ slicer check names.yaml
! slicer: error: names.yaml:6:28: config.host_groups[0].credentials[0].name: credential "systemd.extra-unit.x" is one of systemd.*, which systemd acts on by itself: who sends it is root in the guest; choose another name, or say that it is meant: allowReserved
! slicer: error: names.yaml:6:70: config.host_groups[0].credentials[1].name: the name of 8 bytes that secret "db" is to have as a credential must be a file name of 1 to 255 printable ASCII characters without ":" and "="
? 2
`);

transcript('Cloud Hypervisor has a boot channel on x86-64, and none on arm64', process.arch === 'x64' ? `
$ slicer explain ch --config=vmms.yaml
host group "ch" on Cloud Hypervisor
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST        TABLE
------   ----  -------  ----        ------------        -----
api-key  11    boot     OEM string  credential API_KEY  54
db       9     live     credential  /run/credstore/DB   -

boot channel, with Slicer's own credentials:
  OEM strings       3 of 255
  table bytes       241 of 65398
  request bytes     4343 of 51200
  credential bytes  78 of 1048576
` : `
$ slicer explain ch --config=vmms.yaml | tail -1
no boot channel
`);

test('a VMM that is not on this machine is a warning for check', async () => {
  const [only] = String(environment['PATH']).split(':').slice(1, 2);
  const { code, stderr } = await run(`PATH=${only} ${only}/slicer check vmms.yaml`);
  assert.deepEqual([code, stderr.split('\n').filter((line) => line.includes('PATH'))], [0, [
    'slicer: warning: there is no qemu-system-x86_64 on the PATH, which runs host group micro',
    'slicer: warning: there is no cloud-hypervisor on the PATH, which runs host group ch',
    'slicer: warning: there is no firecracker on the PATH, which runs host group fc',
  ]]);
});

test('a store that cannot be looked into is one warning, and is left as it is', async () => {
  chmodSync(join(directory, '.secrets'), 0o755);
  const open = await run('slicer check');
  assert.deepEqual([open.code, open.stderr], [0, `slicer: warning: the store "${directory}/.secrets" is open to others: it has mode 0755, expected 0700; sizes are not known\n`]);
  writeFileSync(join(directory, 'elsewhere.yaml'), 'config:\n  image: ./own.cpio\n  secrets_dir: ./elsewhere\n  host_groups: [{name: web, ram_mb: 192, secrets: [db]}]\n');
  const absent = await run('slicer check elsewhere.yaml');
  assert.deepEqual([absent.code, absent.stderr], [0, `slicer: warning: the store "${directory}/elsewhere" does not exist; sizes are not known\n`]);
  assert.ok(!readdirSync(directory).includes('elsewhere'));
});

test('explain --json is the plan, and no form of a value is in what any of these commands prints', async () => {
  const { code, stdout } = await run('slicer explain web --json');
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(String(stdout)), {
    group: 'web', hypervisor: 'qemu', machine: 'q35', bootChannel: 'smbios',
    deliveries: [
      { channel: 'boot', form: 'oem-string', secret: 'api-key', credential: 'API_KEY', sizeBytes: 10, tableBytes: 54 },
      { channel: 'boot', form: 'oem-string', secret: 'db', credential: 'DB', sizeBytes: 9, tableBytes: 45 },
      { channel: 'live', form: 'file', secret: 'db', sizeBytes: 9 },
    ],
    budgets: { strings: { used: 4, limit: 255 }, tableBytes: { used: 286, limit: 32338 }, credentialBytes: { used: 86, limit: 1048576 } },
    problems: [],
  });
  assert.deepEqual(Object.keys(JSON.parse(String((await run('slicer explain fc --json --config=vmms.yaml')).stdout)) as object), [
    'group', 'hypervisor', 'bootChannel', 'deliveries', 'budgets', 'problems',
  ]);
  const files = ['slicer.yaml', 'bad.yaml', 'absent.yaml', 'names.yaml', 'vmms.yaml', 'refused.yaml'];
  for (const file of files) {
    for (const command of [`check ${file}`, `check ${file} --json`, `explain web --config=${file}`, `explain web --json --config=${file}`]) {
      const printed = await run(`slicer ${command}`);
      for (const form of ['canary', Buffer.from('canary').toString('base64'), Buffer.from('canary').toString('hex')]) {
        assert.ok(!`${printed.stdout}${printed.stderr}`.includes(form), command);
      }
    }
  }
});

test('check warns of directories and groups that up would miss', async () => {
  writeFileSync(join(directory, 'places.yaml'), `config:
  image: ./own.cpio
  host_groups: [{name: web, ram_mb: 192, secrets: none}]
  secrets_dir: ./a b/secrets
  audit: {path: ./.slicer/audit.log}
  api: {bind_address: ./run/slicer.sock, sockets: [{path: ./run/read.sock, group: no-such-group, role: read}, {path: ./root.sock, group: root, role: read}]}
`);
  const { code, stdout, stderr } = await run('slicer check places.yaml');
  assert.deepEqual([code, String(stdout).split('\n')[0]], [0, 'places.yaml: no problems; host groups: web']);
  assert.deepEqual(stderr.split('\n').filter((line) => /no directory|no group/.test(line)), [
    `slicer: warning: there is no directory "${directory}/a b"; mkdir -p '${directory}/a b'`,
    `slicer: warning: there is no directory "${directory}/run"; mkdir -p ${directory}/run`,
    'slicer: warning: there is no group "no-such-group" in /etc/group; set config.api.socket_group, or the group of config.api.sockets, to a name or a number',
  ]);
});
