// `slicer explain` and what `slicer check` says of deliveries: without a daemon, from the store as it is.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, beforeEach, test } from 'node:test';
import { workspace } from './transcript.ts';

const { directory, run, transcript } = workspace();
const put = (name: string, value: string | Uint8Array): void => writeFileSync(join(directory, '.secrets', name), value, { mode: 0o600 });

before(() => {
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
    - {name: plain, ram_mb: 192}
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
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST            TABLE
------   ----  -------  ----        ------------            -----
api-key  10    boot     OEM string  credential API_KEY      54
db       9     boot     OEM string  credential DB           45
db       9     live     file        /run/slicer/secrets/db  -

boot channel, with the boot token:
  OEM strings       3 of 255
  table bytes       235 of 32338
  credential bytes  83 of 1048576
$ slicer explain web api-key | head -3
SECRET   SIZE  CHANNEL  FORM        IN THE GUEST        TABLE
------   ----  -------  ----        ------------        -----
api-key  10    boot     OEM string  credential API_KEY  54
$ slicer explain plain | wc -l
11
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
`);

transcript('what is not there is a warning, what cannot be is an error, and explain shows the rest', `
$ slicer check absent.yaml
absent.yaml: no problems; host groups: web
! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
$ slicer check bad.yaml
! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
! slicer: error: secret "empty" is empty, and credential "EMPTY" of host group "web" is not said to be so
! slicer: hint: slicer secret update empty, or say that it is meant: allowEmpty
! slicer: error: secret "big" is 80034 bytes as an OEM string for credential "BIG"; the table of host group "web" has 32338, 172 used
! slicer: hint: deliver this one over the live channel: --secret=big
? 2
$ slicer explain web --config=bad.yaml
SECRET  SIZE   CHANNEL  FORM        IN THE GUEST              TABLE
------  ----   -------  ----        ------------              -----
absent  -      boot     OEM string  credential ABSENT         -
empty   0      boot     OEM string  credential EMPTY          36
big     60000  boot     OEM string  credential BIG            80034
db      9      boot     OEM string  credential DB             45
db      9      live     file        /run/slicer/secrets/db    -
gone    -      live     file        /run/slicer/secrets/gone  -

boot channel, with the boot token:
  OEM strings       5 of 255
  table bytes       80251 of 32338
  credential bytes  60073 of 1048576
! slicer: warning: there is no secret "gone"; slicer secret list
! slicer: warning: there is no secret "absent", which credential "ABSENT" of host group "web" is made of; slicer secret create absent
! slicer: error: secret "empty" is empty, and credential "EMPTY" of host group "web" is not said to be so
! slicer: hint: slicer secret update empty, or say that it is meant: allowEmpty
! slicer: error: secret "big" is 80034 bytes as an OEM string for credential "BIG"; the table of host group "web" has 32338, 172 used
! slicer: hint: deliver this one over the live channel: --secret=big
? 2
$ slicer check names.yaml
! slicer: error: names.yaml:6:28: config.host_groups[0].credentials[0].name: credential "systemd.extra-unit.x" is one of systemd.*, which systemd acts on by itself: who sends it is root in the guest; choose another name, or say that it is meant: allowReserved
! slicer: error: names.yaml:6:70: config.host_groups[0].credentials[1].name: the name of 8 bytes that secret "db" is to have as a credential must be a file name of 1 to 255 printable ASCII characters without ":" and "="
? 2
`);

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
    group: 'web',
    deliveries: [
      { channel: 'boot', form: 'oem-string', secret: 'api-key', credential: 'API_KEY', sizeBytes: 10, tableBytes: 54 },
      { channel: 'boot', form: 'oem-string', secret: 'db', credential: 'DB', sizeBytes: 9, tableBytes: 45 },
      { channel: 'live', form: 'file', secret: 'db', sizeBytes: 9 },
    ],
    budgets: { strings: { used: 3, limit: 255 }, tableBytes: { used: 235, limit: 32338 }, credentialBytes: { used: 83, limit: 1048576 } },
    problems: [],
  });
  const files = ['slicer.yaml', 'bad.yaml', 'absent.yaml', 'names.yaml'];
  for (const file of files) {
    for (const command of [`check ${file}`, `check ${file} --json`, `explain web --config=${file}`, `explain web --json --config=${file}`]) {
      const printed = await run(`slicer ${command}`);
      for (const form of ['canary', Buffer.from('canary').toString('base64'), Buffer.from('canary').toString('hex')]) {
        assert.ok(!`${printed.stdout}${printed.stderr}`.includes(form), command);
      }
    }
  }
});
