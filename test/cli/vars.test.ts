import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { chooseRuntimeDirectory, makeAbove, memoryDirectories, removeIfEmpty } from '../../src/vm/runtime-directory.ts';
import { createApiServer } from '../client/api-server.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const api = createApiServer();
const CANARY = 'canary-9e07';
const uid = (process.geteuid as () => number)();
const INVENTORY = `
instances:
  my-app:
    roles: {guest: {machines: {web: {settings: {runtimeSecrets: {session-key: {generateSecret: true}}}}}}}
generators:
  shared: {share: true}
  login: {kind: ssh-ed25519}
  tool: {files: {v: }, script: 'echo ${CANARY} >&2; echo ${CANARY} > "$out/v"'}
`;

before(async () => {
  const { port } = (await api.listen({ port: 0 })).address() as AddressInfo;
  environment['SLICER_URL'] = `http://127.0.0.1:${port}`;
  writeFileSync(join(directory, 'inv.yaml'), INVENTORY);
  writeFileSync(join(directory, 'bad.yaml'), 'generators: {g: {kind: random, lenght: 3}, h: {dependencies: [h]}}\n');
  writeFileSync(join(directory, 'fails.yaml'), `instances: {i: {roles: {r: {machines: {web: }}}}}\ngenerators: {g: {files: {a: , b: }, script: 'echo ${CANARY} | tee "$out/a" >&2'}}\n`);
  writeFileSync(join(directory, 'asks.yaml'), 'instances: {i: {roles: {r: {machines: {web: }}}}}\ngenerators: {g: {prompts: {token: {description: API token}, key: {type: multiline-hidden}, name: {type: line}}}}\n');
});
after(() => api.close());
beforeEach(() => rmSync(join(directory, 'vars'), { recursive: true, force: true }));

transcript('values are made once, listed, checked, and read', `
$ slicer vars --inventory inv.yaml check
! slicer: error: "shared/value" is not there
! slicer: error: "login/key" of machine "web" is not there
! slicer: error: "login/key.pub" of machine "web" is not there
! slicer: error: "tool/v" of machine "web" is not there
! slicer: error: "microvm-my-app/session-key" of machine "web" is not there
! slicer: hint: slicer vars --inventory inv.yaml generate
? 4
$ slicer vars --inventory inv.yaml generate
! generator "shared": made value
! generator "login" of machine "web": made key, key.pub
! generator "tool" of machine "web": made v
! generator "microvm-my-app" of machine "web": made session-key
$ slicer vars --inventory=inv.yaml generate web
! nothing is missing
$ slicer vars check --inventory inv.yaml
no value is missing
$ slicer vars --inventory inv.yaml ls
MACHINE  GENERATOR       FILE         KIND         MODE  STATE
-------  ---------       ----         ----         ----  -----
-        shared          value        random       0400  made
web      login           key          ssh-ed25519  0400  made
web      login           key.pub      ssh-ed25519  0444  made
web      tool            v            command      0400  made
web      microvm-my-app  session-key  random       0400  made
$ slicer vars --inventory inv.yaml get web tool/v
${CANARY}
$ slicer vars --inventory inv.yaml get web microvm-my-app/session-key | base64 -d | wc -c
32
$ slicer vars --inventory inv.yaml get web shared/value | wc -c
44
$ slicer vars --inventory inv.yaml generate web --generator=tool --regenerate
! generator "tool" of machine "web": made again v
`);

transcript('a value that is set stands as it is, and a generator that has part of its files says so', `
$ printf by-hand | slicer vars --inventory inv.yaml set web login/key
! login/key set
! not there yet: login/key.pub
$ slicer vars --inventory inv.yaml generate
! slicer: error: generator "login" of machine "web" has some of its files, and not key.pub
! slicer: hint: give them with: slicer vars --inventory inv.yaml set web login/key.pub; or make all of them again with --regenerate
? 5
$ printf other | slicer vars --inventory inv.yaml set web login/key
! login/key replaced
! not there yet: login/key.pub
$ slicer vars --inventory inv.yaml get web login/key | wc -c
5
`);

transcript('mistakes are told with what mends them', `
$ slicer vars generate
! slicer: error: required option "--inventory <file>" not specified
! slicer: hint: slicer vars --inventory FILE generate
? 2
$ slicer vars --inventory absent.yaml list
! slicer: error: "absent.yaml" does not exist
? 4
$ slicer vars --inventory bad.yaml generate
! slicer: error: bad.yaml:1:32: generators.g.lenght: is no key of a generator; did you mean "length"
! slicer: error: bad.yaml:1:44: generators.h: depends on itself: h → h
? 2
$ slicer vars --inventory inv.yaml generate db
! slicer: error: the inventory has no machine "db"
! slicer: hint: it has web
? 4
$ slicer vars --inventory inv.yaml generate --generator=nope
! slicer: error: the inventory has no generator "nope"
! slicer: hint: it has shared, login, tool, microvm-my-app
? 4
$ slicer vars --inventory inv.yaml get db login/key
! slicer: error: the inventory has no machine "db"
! slicer: hint: it has web
? 4
$ slicer vars --inventory inv.yaml get web login/../../x
! slicer: error: the inventory declares no "login/../../x" for machine "web"
! slicer: hint: it has shared/value, login/key, login/key.pub, tool/v, microvm-my-app/session-key
? 4
$ slicer vars --inventory inv.yaml get web login/key
! slicer: error: "login/key" of machine "web" is not there
? 4
$ slicer vars --inventory inv.yaml set web login/key </dev/null
! slicer: error: standard input is empty: nothing was changed
! slicer: hint: slicer vars --inventory inv.yaml set web login/key < FILE
? 2
$ slicer vars --inventory asks.yaml generate </dev/null
! slicer: error: generator "g" of machine "web" asks for "token", and there is no terminal to ask at
! slicer: hint: run it at a terminal, or give it with: slicer vars --inventory asks.yaml set web g/token
! slicer: error: generator "g" of machine "web" asks for "key", and there is no terminal to ask at
! slicer: hint: run it at a terminal, or give it with: slicer vars --inventory asks.yaml set web g/key
! slicer: error: generator "g" of machine "web" asks for "name", and there is no terminal to ask at
! slicer: hint: run it at a terminal, or give it with: slicer vars --inventory asks.yaml set web g/name
? 2
`);

test('a generator that fails leaves nothing of its values anywhere that is told', async () => {
  const { code, stdout, stderr } = await run('slicer vars --inventory fails.yaml generate --debug');
  assert.deepEqual([code, String(stdout)], [1, '']);
  assert.match(stderr, /^slicer: error: generator "g" of machine "web": its program made no b\nslicer: hint: expected in \$out: a, b\n/);
  assert.ok(!stderr.includes(CANARY));
  assert.match((await run('slicer vars --inventory fails.yaml generate --show-stderr')).stderr, new RegExp(`^${CANARY}\n`));
  assert.ok(!readdirSync(directory).includes('vars'));
});

test('values are made beside VMs that have users of their own', async () => {
  const directoryOfVms = await chooseRuntimeDirectory(directory, uid, memoryDirectories(environment));
  try {
    await makeAbove(join(directoryOfVms, 'vm-1'), uid);
    const { code, stderr } = await run('slicer vars --inventory inv.yaml generate');
    assert.equal(code, 0, String(stderr));
  } finally {
    await removeIfEmpty(directoryOfVms);
  }
});

test('a directory of values that others can enter is refused', async () => {
  await run('slicer vars --inventory inv.yaml generate');
  chmodSync(join(directory, 'vars'), 0o755);
  const { code, stderr } = await run('slicer vars --inventory inv.yaml list');
  assert.deepEqual([code, stderr], [1, `slicer: error: "${directory}/vars" is open to others: it has mode 0755, expected 0700\nslicer: hint: chmod 700 ${directory}/vars\n`]);
});

test('a directory right below the root is not closed to others, who use it', { skip: process.geteuid?.() !== 0 && 'needs root, whose it is' }, async () => {
  const { code, stderr } = await run('slicer vars --inventory inv.yaml --vars-dir /usr list');
  assert.deepEqual([code, stderr], [1, 'slicer: error: "/usr" is open to others: it has mode 0755, expected 0700\nslicer: hint: name a directory of its own, which nothing else uses\n']);
});

test('values are where --vars-dir says', async () => {
  const { code, stderr } = await run('slicer vars --inventory inv.yaml --vars-dir vars/other generate');
  assert.deepEqual([code, stderr], [1, `slicer: error: generator "shared": "${directory}/vars/other" can't be made: ENOENT\n`]);
  assert.equal((await run('mkdir -m 700 vars && slicer vars --inventory inv.yaml generate --vars-dir vars/other && slicer vars --vars-dir vars/other --inventory inv.yaml check')).code, 0);
});

test('list as JSON has no value', async () => {
  await run('slicer vars --inventory inv.yaml generate');
  const { stdout } = await run('slicer vars --inventory inv.yaml list --json');
  assert.deepEqual(JSON.parse(String(stdout))[0], { machine: null, generator: 'shared', file: 'value', kind: 'random', secret: true, state: 'made' });
  assert.ok(!String(stdout).includes(CANARY));
});

test('a killed run leaves nothing on the memory-backed file system that the next does not clear', async () => {
  writeFileSync(join(directory, 'hangs.yaml'), 'instances: {i: {roles: {r: {machines: {web: }}}}}\ngenerators: {g: {files: {a: }, script: \'echo x > "$out/a"; : > "$(cat here)/ran"; sleep 1000\'}}\n'.replace('$(cat here)', directory));
  const child = spawn('slicer', ['vars', '--inventory', 'hangs.yaml', 'generate'], { cwd: directory, env: environment });
  while (!readdirSync(directory).includes('ran')) {
    assert.equal(child.exitCode, null, 'it ended before its generator ran');
    await new Promise((resolve) => setImmediate(resolve));
  }
  child.kill('SIGTERM');
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  assert.deepEqual([code, stderr], [1, 'slicer: error: generator "g" of machine "web": its program was stopped\n']);
  assert.ok(!readdirSync(directory).includes('vars'));
  rmSync(join(directory, 'ran'));
});

const hasScript = spawnSync('which', ['script']).status === 0;

/** At a terminal, where each answer is typed when its question is there. */
async function atTerminal(command: string, answers: readonly (readonly [string, string])[]): Promise<{ readonly code: number; readonly screen: string }> {
  const child = spawn('script', ['-qec', `stty cols 0; ${command}`, '/dev/null'], { cwd: directory, env: { ...environment, TERM: 'xterm' } });
  const waiting = [...answers];
  let screen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    screen += String(chunk);
    const [next] = waiting;
    if (next === undefined || !screen.includes(next[0])) return;
    waiting.shift();
    child.stdin.write(next[1]);
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, screen };
}

test('at a terminal prompts are asked for and not shown, and a value is not written to it', { skip: !hasScript && 'needs script(1) of bsdutils' }, async () => {
  const { code, screen } = await atTerminal('slicer vars --inventory asks.yaml generate', [
    ['API token (one line, not shown): ', 'hunter2\r'], ['key (lines, not shown, then Ctrl+D): ', 'line one\rline two\r\u0004'], ['name (one line): ', 'bb\u007fob\r'],
  ]);
  assert.equal(code, 0, screen);
  assert.equal(screen.match(/name \(one line\): /g)?.length, 2, 'a correction leaves the question where it is');
  assert.equal(readFileSync(join(directory, 'vars/web/g/name'), 'utf8'), 'bob');
  assert.ok(!screen.includes('hunter2') && !screen.includes('line one'), screen);
  assert.equal(readFileSync(join(directory, 'vars/web/g/token'), 'utf8'), 'hunter2');
  assert.equal(readFileSync(join(directory, 'vars/web/g/key'), 'utf8'), 'line one\nline two\n');

  const refused = await atTerminal('slicer vars --inventory asks.yaml get web g/token', []);
  assert.equal(refused.code, 2);
  assert.equal(refused.screen.replaceAll('\r', ''), 'slicer: error: a value is not written to a terminal\nslicer: hint: slicer vars --inventory asks.yaml get web g/token > FILE\n');
});

test('nothing typed is no value', { skip: !hasScript && 'needs script(1) of bsdutils' }, async () => {
  const { code, screen } = await atTerminal('slicer vars --inventory asks.yaml generate', [['not shown): ', '\r']]);
  assert.equal(code, 2);
  assert.match(screen, /no value was typed: nothing was changed/);
  assert.ok(!readdirSync(directory).includes('vars'));
});

test('secret create makes the value itself', async () => {
  const { code, stderr } = await run('slicer secret create made --generate random:32 </dev/null');
  assert.deepEqual([code, stderr], [0, 'secret made created\n']);
  const value = Buffer.from(api.secrets.get('made')?.value.reveal() as Uint8Array).toString();
  assert.equal(Buffer.from(value, 'base64').length, 32);
  assert.deepEqual(await run('slicer secret create other --generate=hunter2'), {
    code: 2, stdout: Buffer.alloc(0), stderr: 'slicer: error: expected random[:LENGTH[:base64|hex|alphanumeric]], password[:LENGTH] or uuid, LENGTH being 1 to 65536\nslicer: hint: slicer secret create --help\n',
  });
  assert.equal((await run('slicer secret create other --generate=uuid --from-literal=x')).stderr, 'slicer: error: --generate excludes --from-literal and --from-file\nslicer: hint: slicer secret create --help\n');
});
