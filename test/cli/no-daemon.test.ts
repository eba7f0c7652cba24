import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { COMMANDS, GROUPS } from '../../src/cli/command-table.ts';
import { createApiServer } from '../client/api-server.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const guarded = createApiServer({ token: 'a-token' });
let url = '';

before(async () => {
  const { port } = (await guarded.listen({ port: 0 })).address() as AddressInfo;
  url = `http://127.0.0.1:${port}`;
  mkdirSync(join(directory, '.secrets'), { mode: 0o700 });
  writeFileSync(join(directory, '.secrets', 'api-key'), 'my-api-key\n', { mode: 0o600 });
  writeFileSync(join(directory, 'token'), 'a-token\n', { mode: 0o600 });
  writeFileSync(join(directory, 'bad.yaml'), 'config: {host_groups: [{name: web, vcpus: 2}]}\n');
});
after(() => guarded.close());

transcript('without a daemon the error says which sockets were tried', `
$ slicer secret list
! slicer: error: no daemon answers: tried ./slicer.sock (not there), /run/slicer/slicer.sock (not there)
! slicer: hint: start one with: slicer up
? 3
$ slicer secret list --url=./other.sock
! slicer: error: no daemon answers: tried ./other.sock (not there)
! slicer: hint: start one with: slicer up
? 3
$ SLICER_URL=http://127.0.0.1:1 slicer vm list
! slicer: error: no daemon answers: tried http://127.0.0.1:1 (nobody listens)
! slicer: hint: check --url, and that the daemon listens there
? 3
`);

transcript('a command that was mistyped is suggested', `
$ slicer secrte list
! slicer: error: unknown command "secrte"
! slicer: hint: did you mean secret?
? 2
$ slicer up --keep-vm
! slicer: error: unknown option "--keep-vm"
! slicer: hint: did you mean --keep-vms?
? 2
`);

transcript('new prints a configuration that check takes', `
$ slicer new web --count=2 > slicer.yaml
$ slicer check slicer.yaml 2>/dev/null | head -3
slicer.yaml: no problems; host groups: web

host group "web" on QEMU q35
$ rm slicer.yaml
$ slicer new -- -web
! slicer: error: expected for GROUP a name of 1 to 53 of a-z 0-9 -, not beginning or ending with -
! slicer: hint: slicer new demo > slicer.yaml
? 2
$ slicer new
! slicer: error: missing required argument "group"
! slicer: hint: slicer new --help
? 2
`);

transcript('check tells every problem, and up refuses the same', `
$ slicer check bad.yaml
! slicer: error: bad.yaml:1:24: config.host_groups[0]: expected one of ram_gb, ram_mb, ram_bytes, got none
! slicer: error: bad.yaml:1:36: config.host_groups[0].vcpus: is no key of a host group; did you mean "vcpu"
? 2
$ slicer up bad.yaml 2>&1 | tail -1
slicer: error: bad.yaml:1:36: config.host_groups[0].vcpus: is no key of a host group; did you mean "vcpu"
$ slicer check absent.yaml
! slicer: error: "absent.yaml" does not exist
! slicer: hint: slicer new GROUP > absent.yaml
? 4
`);

test('up without a configuration says how to make one', async () => {
  const { code, stderr } = await run('slicer up');
  assert.equal(code, 4);
  assert.equal(stderr, `slicer: error: there is no slicer.yaml in ${directory}\nslicer: hint: slicer new GROUP > slicer.yaml\n`);
});

test('a working directory that was removed is told as what it is', async () => {
  const { code, stderr } = await run('mkdir gone && cd gone && rmdir ../gone && slicer check');
  // sh complains of it too.
  assert.deepEqual([code, stderr.split('\n').filter((line) => line.startsWith('slicer: '))],
    [4, ['slicer: error: the working directory is not there any more', 'slicer: hint: cd to another one']]);
});

transcript('version needs no daemon', `
$ slicer version
slicer 0.2.0 (abc1234)
$ slicer --version
slicer 0.2.0 (abc1234)
$ slicer version --json
{
  "version": "0.2.0",
  "git_commit": "abc1234"
}
`);

test('over TCP the token comes from flag, file or environment, before or after the command', async () => {
  for (const command of [
    'slicer secret list --url=$URL --token=a-token',
    'slicer --url=$URL --token-file=token secret list',
    'SLICER_URL=$URL SLICER_TOKEN=a-token slicer secret list',
    'SLICER_URL=$URL SLICER_TOKEN_FILE=token slicer secret list --url=$URL',
  ]) {
    const { code, stderr } = await run(command.replaceAll('$URL', url));
    assert.deepEqual([code, stderr], [0, ''], command);
  }
  assert.deepEqual(await run(`slicer secret list --url=${url} --token=wrong`), {
    code: 6, stdout: Buffer.alloc(0), stderr: 'slicer: error: the token is missing or wrong\nslicer: hint: pass it with --token-file\n',
  });
});

test('a stack is shown with --debug only', async () => {
  assert.doesNotMatch((await run('slicer secret list')).stderr, / at /);
  assert.match((await run('slicer secret list --debug')).stderr, /\n {4}at /);
  assert.match((await run('slicer --debug secret list')).stderr, /\n {4}at /);
});

for (const words of [[], ...Object.keys(GROUPS).map((name) => [name]), ...COMMANDS.map((command) => command.words)]) {
  const line = ['slicer', ...words].join(' ');
  test(`${line} --help says what it does, plainly and without colours`, async () => {
    const { code, stdout, stderr } = await run(`${line} --help`);
    const text = String(stdout);
    assert.deepEqual([code, stderr], [0, '']);
    assert.ok(text.startsWith(`Usage: ${line}`), text);
    assert.ok(!text.includes('\u001b'));
    const isGroup = words.length === 1 && words[0] as string in GROUPS;
    if (!isGroup && words[0] !== 'version') assert.match(text, /\nExamples:\n {2}\$ /);
    for (const shown of text.split('\n')) assert.ok(shown.length <= 100, shown);
  });
}

test('a group of commands without one shows its help, as wrong usage', async () => {
  for (const line of ['slicer', 'slicer vm']) {
    const { code, stdout, stderr } = await run(line);
    assert.deepEqual([code, String(stdout)], [2, '']);
    assert.match(stderr, /^Usage: /);
  }
});

transcript('attach refuses what cannot be served', `
$ slicer attach --vsock=db.vsock
! slicer: error: required option "--name <name>" not specified
! slicer: hint: slicer attach --help
? 2
$ slicer attach --name=db --vsock=db.vsock --secret=absent
! slicer: error: there is no secret "absent" in "./.secrets"
! slicer: hint: ls ./.secrets
? 4
$ slicer attach --name=db --vsock=db.vsock --secrets-dir=elsewhere
! slicer: error: there is no store at "elsewhere"
! slicer: hint: mkdir -m 700 elsewhere
? 4
$ slicer attach --name=DB --vsock=db.vsock
! slicer: error: --name must be a DNS label: 1 to 63 of a-z 0-9 -, not beginning or ending with -
! slicer: hint: slicer attach --help
? 2
$ slicer attach --name=db --vsock=db.vsock --secrets-dir=.secrets --url=./slicer.sock
! slicer: error: --secrets-dir is for serving without a daemon: it excludes --url
! slicer: hint: slicer attach --help
? 2
`);

test('attach with a URL hands the VM to that daemon', async () => {
  const { code, stderr } = await run(`slicer attach --name=db --vsock=db.vsock --no-secrets --url=${url} --token-file=token`);
  assert.deepEqual([code, stderr], [0, 'vm db attached\n']);
  assert.deepEqual(guarded.nodes.get('db')?.secrets, []);
});

for (const [signal, expected] of [['SIGINT', 0], ['SIGTERM', 0]] as const) {
  test(`attach without a daemon serves until ${signal}, and leaves no socket`, async () => {
    const child = spawn('slicer', ['attach', '--name=db', '--vsock=db.vsock', '--secret=api-key'], { cwd: directory, env: environment });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += String(chunk)));
    while (!stderr.includes('\n')) await once(child.stderr, 'data');
    assert.match(stderr, /^serving vm db until Ctrl\+C; \S+\/db\.vsock is not there yet\n$/);
    const files = (await run('ls')).stdout;
    assert.match(String(files), /^db\.vsock_901$/m);
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, expected);
    assert.doesNotMatch(String((await run('ls')).stdout), /vsock/);
  });
}

transcript('image build knows its recipes', `
$ slicer image build huge
! slicer: error: there is no recipe for an image "huge"
! slicer: hint: slicer image build tiny
? 2
`);
