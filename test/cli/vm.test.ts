import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { VERSION } from '../../src/api/version.ts';
import { createApiServer, node } from '../client/api-server.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const api = createApiServer();
before(async () => {
  await api.listen(join(directory, 'slicer.sock'));
  writeFileSync(join(directory, 'setup.sh'), '#!/bin/sh\necho hello\n');
});
after(() => api.close());
beforeEach(async () => {
  api.nodes.clear();
  api.secrets.clear();
  api.launches.length = 0;
  api.groups.splice(0, api.groups.length, 'web');
  api.vmSecrets = [];
  api.console = '';
});

transcript('a VM is launched in the only group, listed and deleted', `
$ printf x | slicer secret create my-secret
! secret my-secret created
$ slicer vm launch --secret=my-secret --tag=team=blue
web-1
$ slicer vm list
HOSTNAME  IP  STATUS   GROUP  CPUS  RAM   SECRETS    TAGS       CREATED
--------  --  ------   -----  ----  ---   -------    ----       -------
web-1     -   Running  web    1     256M  my-secret  team=blue  2025-12-08T11:12:00.000Z
$ slicer vm list --tag=team=red
HOSTNAME  IP  STATUS  GROUP  CPUS  RAM  SECRETS  TAGS  CREATED
--------  --  ------  -----  ----  ---  -------  ----  -------
$ slicer vm list nowhere
! slicer: error: there is no host group "nowhere"
? 4
$ slicer vm delete web-1
! vm web-1 deleted
$ slicer vm delete web-1
! slicer: error: there is no vm "web-1"
! slicer: hint: slicer vm list
? 4
`);

transcript('mistakes in a launch are told before anything is launched', `
$ slicer vm launch --secret=absent
! slicer: error: there is no secret "absent"
! slicer: hint: slicer secret list
? 4
$ slicer vm launch --secret=
! slicer: error: a secret's name must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --secret=a,
! slicer: error: a secret's name must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --secret=a --no-secrets
! slicer: error: --no-secrets excludes --secret and --secrets
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --no-secrets --secrets=a
! slicer: error: --no-secrets excludes --secret and --secrets
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --ram-mb=512 --ram-gb=1
! slicer: error: --ram-mb and --ram-gb exclude each other
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --machine=pc
! slicer: error: --machine must be one of q35, microvm
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --image=foo
! slicer: error: --image must be one of tiny, debian
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --cpus=0
! slicer: error: --cpus must be a whole number from 1 to 255
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --timeout=30s
! slicer: error: --timeout needs --wait or --wait-userdata
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --wait --timeout=30
! slicer: error: --timeout must be a duration from 0s to 24h, such as 30s, 1m30s or 500ms
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --userdata=x --userdata-file=setup.sh
! slicer: error: --userdata and --userdata-file exclude each other
! slicer: hint: slicer vm launch --help
? 2
$ slicer vm launch --userdata-file=absent.sh
! slicer: error: cannot read "absent.sh" (ENOENT)
? 4
$ slicer vm launch --cpsu 2
! slicer: error: unknown option "--cpsu"
! slicer: hint: did you mean --cpus?
? 2
$ slicer vm list --json
[]
`);

test('what a launch asks for reaches the API', async () => {
  for (const name of ['a', 'b', 'c']) await run(`slicer secret create ${name}`, 'x');
  const launches: [string, object][] = [
    ['', {}],
    ['--secret=a --secret b,c --secret=a', { secrets: ['a', 'b', 'c'] }],
    ['--secrets=a,b', { secrets: ['a', 'b'] }],
    ['--no-secrets', { secrets: [] }],
    ['--no-secrets --credential=A_KEY=a --credential B=b,trimNewline,allowEmpty,allowReserved', {
      secrets: [],
      credentials: [
        { name: 'A_KEY', secret: 'a', trimNewline: false, allowEmpty: false, allowReserved: false },
        { name: 'B', secret: 'b', trimNewline: true, allowEmpty: true, allowReserved: true },
      ],
    }],
    ['--no-secrets --credential=A_KEY=a,deliver=live --credential=B=b,deliver=both,trimNewline --credential=C=c,deliver=boot', {
      secrets: [],
      credentials: [
        { name: 'A_KEY', secret: 'a', trimNewline: false, allowEmpty: false, allowReserved: false, deliver: 'live' },
        { name: 'B', secret: 'b', trimNewline: true, allowEmpty: false, allowReserved: false, deliver: 'both' },
        { name: 'C', secret: 'c', trimNewline: false, allowEmpty: false, allowReserved: false, deliver: 'boot' },
      ],
    }],
    ['--hypervisor=qemu --machine microvm', { hypervisor: 'qemu', machine: 'microvm' }],
    ['--hypervisor cloud-hypervisor', { hypervisor: 'cloud-hypervisor' }],
    ['--cpus=2 --ram-gb=1', { cpus: 2, ram_bytes: 1024 ** 3 }],
    ['web --ram-mb 512 --tag a=b --tag c', { ram_bytes: 512 * 1024 ** 2, tags: ['a=b', 'c'] }],
    ['--userdata="echo hi" --wait', { userdata: 'echo hi', wait: 'agent' }],
    ['--userdata-file=setup.sh --wait-userdata --timeout=2m', { userdata: '#!/bin/sh\necho hello\n', wait: 'userdata', timeout: 120_000 }],
  ];
  for (const [flags, expected] of launches) {
    const { code, stderr } = await run(`slicer vm launch ${flags}`);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(api.launches.at(-1), expected);
  }
  assert.equal((await run('slicer vm add')).code, 0);
});

test('vm list --json has the names of credentials', async () => {
  await run('slicer vm launch --credential=A_KEY=a');
  const [listed] = JSON.parse(String((await run('slicer vm list --json')).stdout)) as { credentials: unknown }[];
  assert.deepEqual(listed?.credentials, [{ name: 'A_KEY', secret: 'a', deliver: 'boot' }]);
});

test('a credential that is not well formed is refused, and not shown', async () => {
  for (const text of ['canary', 'canary=', '=canary', 'A=canary/x', 'A=canary,trim', 'A=canary,', 'A=canary,deliver', 'A=canary,deliver=', 'A=canary,deliver=now', 'A= canary', 'canary,allowEmpty']) {
    assert.deepEqual(await run(`slicer vm launch "--credential=${text}"`), {
      code: 2, stdout: Buffer.alloc(0),
      stderr: 'slicer: error: --credential must be NAME=SECRET, and after it any of ,trimNewline ,allowEmpty ,allowReserved ,deliver=boot|live|both\n'
        + 'slicer: hint: --credential=db-password=db-password\n',
    }, text);
  }
  assert.equal(api.launches.length, 0);
});

test('launch --json prints the node', async () => {
  const { stdout } = await run('slicer vm launch --json');
  assert.equal((JSON.parse(String(stdout)) as { hostname: string }).hostname, 'web-1');
});

test('with several groups a launch without one says which there are', async () => {
  api.groups.push('db');
  assert.deepEqual(await run('slicer vm launch'), {
    code: 2, stdout: Buffer.alloc(0),
    stderr: 'slicer: error: there are several host groups: web, db\nslicer: hint: slicer vm launch web\n',
  });
  assert.equal((await run('slicer vm launch db')).code, 0);
});

test('a VM that failed is shown as such, with its last console lines, escaped', async () => {
  api.nodes.set('web-1', node('web-1', { status: 'Failed', error: 'qemu ended with code 1', console: 'panic\r\n\u001b[31mred\n' }));
  api.nodes.set('db', node('db', { hostgroup: '', attached: true, cpus: 0, ram_bytes: 0, secrets: [], tags: ['\u202e'] }));
  const { stdout, stderr } = await run('slicer vm list');
  assert.equal(String(stdout), [
    'HOSTNAME  IP  STATUS   GROUP       CPUS  RAM   SECRETS  TAGS      CREATED',
    '--------  --  ------   -----       ----  ---   -------  ----      -------',
    'web-1     -   Failed   web         1     256M  all      -         2025-12-08T11:12:00.000Z',
    'db        -   Running  (attached)  -     -     none     \\u{202e}  2025-12-08T11:12:00.000Z', '',
  ].join('\n'));
  assert.equal(stderr, 'slicer: warning: vm web-1 failed: qemu ended with code 1\n  web-1: panic\n  web-1: \\x1b[31mred\n');
});

test('an agent of another release is named, and one of this release is not', async () => {
  api.nodes.set('web-1', node('web-1', { agent_version: '0.0.1\u001b[31m' }));
  api.nodes.set('web-2', node('web-2', { agent_version: VERSION }));
  assert.equal((await run('slicer vm list')).stderr, `vm web-1 has the agent of slicer 0.0.1\\x1b[31m; this is ${VERSION}\n`);
});

test('logs escape what would steer a terminal, unless --raw', async () => {
  api.nodes.set('web-1', node('web-1'));
  api.console = 'one\r\ntwo\tx\n\u001b]0;title\u0007\u009b2J\u202e\u2028\rover\u007f\u200bü\n';
  assert.equal(String((await run('slicer vm logs web-1')).stdout),
    'one\ntwo\tx\n\\x1b]0;title\\x07\\x9b2J\\u{202e}\\u{2028}\\x0dover\\x7f\\u{200b}ü\n');
  assert.equal(String((await run('slicer vm logs web-1 --raw --lines=0')).stdout), api.console);
  assert.equal(String((await run('slicer vm logs web-1 --lines 2')).stdout).split('\n').length, 3);
  assert.equal((JSON.parse(String((await run('slicer vm logs web-1 --json --lines=1')).stdout)) as { lines: number }).lines, 1);
});

test('a reader that has seen enough is no error', async () => {
  api.nodes.set('web-1', node('web-1'));
  api.console = `${'x'.repeat(100)}\n`.repeat(20_000);
  assert.deepEqual(await run('slicer vm logs web-1 --lines=0 | head -c 1'), { code: 0, stdout: Buffer.from('x'), stderr: '' });
});

test('secrets of VMs are shown with state, since when, or the guest\'s error', async () => {
  api.vmSecrets = [
    {
      hostname: 'web-1', connected: true, synced: true, errors: [],
      secrets: [
        { name: 'api-key', state: 'current', since: '2025-12-08T11:12:00.000Z' },
        { name: 'api-key', credential: 'app.key', state: 'pending' },
        { name: 'tls-key', state: 'failed', error: { code: 'ENOSPC', message: 'no space left' } },
      ],
    },
    { hostname: 'web-2', connected: false, synced: false, errors: [{ code: 'protocol', message: 'odd' }], secrets: [{ name: 'api-key', state: 'pending' }] },
  ];
  assert.deepEqual(await run('slicer vm secrets'), {
    code: 0,
    stdout: Buffer.from([
      'HOSTNAME  SECRET                        STATE    SINCE                     ERROR',
      '--------  ------                        -----    -----                     -----',
      'web-1     api-key                       current  2025-12-08T11:12:00.000Z  -',
      'web-1     api-key (credential app.key)  pending  -                         -',
      'web-1     tls-key                       failed   -                         ENOSPC: no space left',
      'web-2     api-key                       pending  -                         -', '',
    ].join('\n')),
    stderr: 'slicer: warning: the agent of vm web-2 is not connected\nslicer: warning: vm web-2: protocol: odd\n',
  });
  assert.deepEqual(JSON.parse(String((await run('slicer vm secrets web-1 --json')).stdout)), api.vmSecrets[0]);
  assert.equal((await run('slicer vm secrets web-3')).code, 4);
});

transcript('health and info are tables', `
$ slicer vm launch
web-1
$ slicer vm health web-1
HOSTNAME  AGENT  AGENT UPTIME  SYSTEM UPTIME  USERDATA
--------  -----  ------------  -------------  --------
web-1     0.1.0  4s            5s             not run
$ slicer info
VERSION  COMMIT  PLATFORM  ARCH
-------  ------  --------  ----
0.1.0    abc     linux     amd64
`);

transcript('exec passes words, streams and the exit code, flags before or after the name', `
$ slicer vm launch
web-1
$ slicer vm exec web-1 -- sh -c 'echo out; echo err >&2; exit 7'
out
! err
? 7
$ slicer vm exec web-1 -- printf '%s|\\n' 'a  b' '*' '$HOME' ''
a  b|
*|
$HOME|
|
$ slicer vm exec --cwd /tmp web-1 -- pwd
/tmp
$ slicer vm exec web-1 --cwd=/tmp --env A=1 --env=B=x=y -- sh -c 'pwd; echo $A $B'
/tmp
1 x=y
$ slicer vm exec web-1 --shell -- echo 'a  b' '|' tr a c
c b
$ slicer vm exec web-1 echo no dashes needed
no dashes needed
$ echo from stdin | slicer vm exec web-1 -- cat
from stdin
$ slicer vm exec web-1 -- cat </dev/null
$ slicer vm exec web-1 ls -l
! slicer: error: unknown option "-l"
! slicer: hint: slicer vm exec --help
? 2
$ slicer vm exec web-1 curl --url x
! slicer: error: the command has options: put -- before it
! slicer: hint: slicer vm exec web-1 -- curl ...
? 2
$ slicer vm exec web-1
! slicer: error: missing required argument "command"
! slicer: hint: slicer vm exec --help
? 2
$ slicer vm exec absent -- id
! slicer: error: there is no vm "absent"
! slicer: hint: slicer vm list
? 4
$ slicer vm exec web-1 -- /nonexistent/program
! slicer: error: spawn /nonexistent/program ENOENT
? 1
$ slicer vm exec web-1 --env NOVALUE -- id
! slicer: error: env must be NAME=VALUE, without NUL
? 2
`);

test('exec carries any bytes through the command line', async () => {
  api.nodes.set('web-1', node('web-1'));
  const bytes = Buffer.from(Array.from({ length: 500_000 }, (_, index) => (index * 7919) % 256));
  const { stdout, code } = await run('slicer vm exec web-1 -- cat', bytes);
  assert.equal(code, 0);
  assert.ok(stdout.equals(bytes));
});

test('exec ends with the command, though somebody still holds its standard input', async () => {
  api.nodes.set('web-1', node('web-1'));
  const child = spawn('slicer', ['vm', 'exec', 'web-1', '--', 'sh', '-c', 'exit 5'], { cwd: directory, env: environment, stdio: ['pipe', 'ignore', 'ignore'] });
  const [code] = (await once(child, 'exit')) as [number];
  child.stdin?.end();
  assert.equal(code, 5);
});

for (const [signal, expected] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  test(`${signal} ends the command in the VM, and exec with ${expected}`, async () => {
    api.nodes.set('web-1', node('web-1'));
    const ended = once(api.ended, 'ended');
    const child = spawn('slicer', ['vm', 'exec', 'web-1', '--', 'sh', '-c', 'echo started; exec sleep 600'], { cwd: directory, env: environment });
    await once(child.stdout, 'data');
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, expected);
    await ended;
  });
}
