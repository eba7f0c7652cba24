import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { SECRET_MAX_BYTES } from '../../src/secret/secret.ts';
import { createApiServer } from '../client/api-server.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const api = createApiServer();
before(async () => {
  await api.listen(join(directory, 'slicer.sock'));
  writeFileSync(join(directory, 'secret.txt'), 'from a file\n');
  writeFileSync(join(directory, 'empty'), '');
  writeFileSync(join(directory, 'large'), Buffer.alloc(SECRET_MAX_BYTES + 1));
});
after(() => api.close());
beforeEach(() => {
  api.secrets.clear();
  api.waits.length = 0;
  api.delivery = { holding: 0, running: 0, pending: [] };
  api.store = { skipped: [] };
});

const valueOf = (name: string): string => Buffer.from(api.secrets.get(name)?.value.reveal() ?? 'absent').toString('latin1');

transcript('the specification\'s page: create, list, update, remove', `
$ echo "my-api-key" | slicer secret create my-secret
! secret my-secret created
$ slicer secret list
NAME
----
my-secret
$ slicer secret list -v
NAME                      SIZE       PERMISSIONS  UID      GID
----                      ----       -----------  ---      ---
my-secret                 11         0600         0        0
$ slicer secret update my-secret --from-file=secret.txt
! secret my-secret updated: no running VM is granted it
$ slicer secret update my-secret --permissions=0644 --uid=1001 --gid=1001
! secret my-secret updated: no running VM is granted it
$ slicer secret list -v
NAME                      SIZE       PERMISSIONS  UID      GID
----                      ----       -----------  ---      ---
my-secret                 12         0644         1001     1001
$ slicer secret remove my-secret
! secret my-secret removed
$ slicer secret list
NAME
----
`);

transcript('create takes a file, a mode and an owner; what exists is not replaced', `
$ slicer secret create my-secret --from-file=secret.txt --permissions=0640 --uid=1000 --gid=4294967294
! secret my-secret created
$ slicer secret ls --json
[
  {
    "name": "my-secret",
    "size": 12,
    "permissions": "0640",
    "uid": 1000,
    "gid": 4294967294,
    "mod_time": "2025-12-08T11:12:00.000Z",
    "modified_at": "2025-12-08T11:12:00.000Z"
  }
]
$ echo other | slicer secret create my-secret
! slicer: error: secret "my-secret" exists
! slicer: hint: slicer secret update my-secret
? 5
`);

transcript('a literal works, and warns that others see it', `
$ slicer secret create my-secret --from-literal="my secret value"
! slicer: warning: ps and the shell's history see a value given with --from-literal; --from-file and standard input keep it from them
! secret my-secret created
`);

transcript('columns grow with long names and sizes, and stay apart', `
$ printf x | slicer secret create abcdefghijklmnopqrstuvwxyz0123456789
! secret abcdefghijklmnopqrstuvwxyz0123456789 created
$ printf x | slicer secret create b --uid=4294967294
! secret b created
$ slicer secret list --verbose
NAME                                  SIZE       PERMISSIONS  UID         GID
----                                  ----       -----------  ---         ---
abcdefghijklmnopqrstuvwxyz0123456789  1          0600         0           0
b                                     1          0600         4294967294  0
`);

transcript('mistakes are told with what mends them', `
$ slicer secret create
! slicer: error: missing required argument "name"
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create .hidden --from-file=secret.txt
! slicer: error: a secret's name must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a --from-file=secret.txt --from-literal=x
! slicer: error: --from-literal and --from-file exclude each other
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a --from-file=absent.txt
! slicer: error: cannot read "absent.txt": there is no such file
? 4
$ slicer secret create a --from-file=.
! slicer: error: cannot read ".": it is a directory
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a --from-file=large
! slicer: error: "large" is 1048577 bytes; a value has at most 1048576
? 2
$ cat large | slicer secret create a
! slicer: error: standard input has more than 1048576 bytes; a value has at most 1048576
? 2
$ slicer secret create a --uid=me --from-file=secret.txt
! slicer: error: --uid must be a whole number from 0 to 4294967294
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a --permissions=4755 --from-file=secret.txt
! slicer: error: permissions must be three octal digits, such as "0600": no setuid, setgid or sticky bit
! slicer: hint: slicer secret create --help
? 2
$ slicer secret update absent --from-file=secret.txt
! slicer: error: there is no secret "absent"
! slicer: hint: slicer secret list
? 4
$ slicer secret remove absent
! slicer: error: there is no secret "absent"
! slicer: hint: slicer secret list
? 4
$ slicer secret lsit
! slicer: error: unknown command "lsit"
! slicer: hint: did you mean list?
? 2
$ slicer secret list
NAME
----
`);

transcript('a mistyped flag is refused without its value, which may be a secret', `
$ slicer secret create a --form-literal=hunter2
! slicer: error: unknown option "--form-literal"
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a "--from-litera=it's$(printf '\\nhunter2')"
! slicer: error: unknown option "--from-litera"
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a -phunter2
! slicer: error: unknown option "-p"
! slicer: hint: slicer secret create --help
? 2
$ slicer secret create a hunter2
! slicer: error: too many arguments for "create": expected 1 argument but got 2
! slicer: hint: slicer secret create --help
? 2
`);

test('standard input is taken byte for byte, whatever the bytes', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  assert.equal((await run('slicer secret create a', bytes)).code, 0);
  assert.deepEqual(new Uint8Array(api.secrets.get('a')?.value.reveal() as Uint8Array), bytes);
  await run('slicer secret create b --from-file=-', 'x\n');
  assert.equal(valueOf('b'), 'x\n');
  await run('printf y | slicer secret create c --from-file=/dev/stdin');
  assert.equal(valueOf('c'), 'y');
});

test('update reads standard input only when no flag names a change', async () => {
  await run('slicer secret create a', 'before');
  await run('slicer secret update a --permissions=0644', 'not to be read');
  assert.equal(valueOf('a'), 'before');
  await run('slicer secret update a', 'after');
  assert.equal(valueOf('a'), 'after');
  assert.equal(api.secrets.get('a')?.attributes.mode, 0o644);
});

test('an update with nothing on standard input does not blank the secret', async () => {
  await run('slicer secret create a', 'before');
  const { code, stderr } = await run('slicer secret update a </dev/null');
  assert.equal(code, 2);
  assert.equal(stderr, 'slicer: error: standard input is empty, and no flag names a change\nslicer: hint: slicer secret update a --from-file=PATH\n');
  assert.equal(valueOf('a'), 'before');
});

test('an empty value that a flag names is taken, with a warning', async () => {
  await run('slicer secret create a', 'before');
  const { code, stderr } = await run('slicer secret update a --from-file=empty --permissions=0600');
  assert.equal(code, 0);
  assert.match(stderr, /^slicer: warning: the value is empty\n/);
  assert.equal(valueOf('a'), '');
});

test('update waits up to 30 s unless told otherwise; create and remove wait when asked to', async () => {
  await run('slicer secret create a', 'x');
  await run('slicer secret create b --wait=5s', 'x');
  await run('slicer secret update a', 'y');
  await run('slicer secret update a --wait=1m30s', 'y');
  await run('slicer secret update a --no-wait', 'y');
  await run('slicer secret remove a');
  await run('slicer secret remove b --wait=1s');
  assert.deepEqual(api.waits, [undefined, 5000, 30_000, 90_000, undefined, undefined, 1000]);
});

test('update says on stderr how many running VMs hold the new value', async () => {
  await run('slicer secret create a', 'x');
  api.delivery = { holding: 2, running: 2, pending: [] };
  assert.deepEqual(await run('slicer secret update a', 'y'), {
    code: 0, stdout: Buffer.alloc(0), stderr: 'secret a updated: 2 of 2 running VMs that are granted it hold the new value\n',
  });
});

test('a VM that does not follow in time is named, and the exit code says so', async () => {
  await run('slicer secret create a', 'x');
  api.delivery = { holding: 1, running: 2, pending: ['web-2'] };
  assert.deepEqual(await run('slicer secret update a', 'y'), {
    code: 7,
    stdout: Buffer.alloc(0),
    stderr: 'secret a updated: 1 of 2 running VMs that are granted it hold the new value\n' +
      'slicer: error: not yet delivered to web-2\nslicer: hint: see why with: slicer vm secrets\n',
  });
});

test('list -v names on stderr what the store does not serve, escaped', async () => {
  api.store = { skipped: [{ file: 'key~\u001b[2J', reason: 'outside the rule for names' }], problem: 'the store can be read by others' };
  const { stdout, stderr } = await run('slicer secret list -v');
  assert.match(String(stdout), /^NAME /);
  assert.equal(stderr, 'slicer: warning: the store can be read by others\nslicer: warning: "key~\\x1b[2J" is not served: outside the rule for names\n');
  assert.equal((await run('slicer secret list')).stderr, '');
});

test('at a terminal create asks for the value and does not show it', { skip: !hasScript() && 'needs script(1) of bsdutils' }, async () => {
  // script(1) gives the command a terminal and copies what it shows.
  const child = spawn('script', ['-qec', 'stty cols 0; slicer secret create typed', '/dev/null'], { cwd: directory, env: { ...environment, TERM: 'xterm' } });
  let screen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const isAsked = screen.includes('Value of secret typed');
    screen += String(chunk);
    if (!isAsked && screen.includes('Value of secret typed')) child.stdin.write('hunter2\r');
  });
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 0, screen);
  assert.equal(valueOf('typed'), 'hunter2');
  assert.ok(!screen.includes('hunter2'));
  assert.match(screen, /secret typed created/);
});

function hasScript(): boolean {
  return environment.PATH?.split(':').some((place) => existsSync(join(place, 'script'))) ?? false;
}
