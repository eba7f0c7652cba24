// `slicer check`, `explain` and `run` with an inventory: every problem at once, what is not there yet as a
// warning until a VM is to start, and nothing of a value.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const CANARY = 'canary-value-0d3b';

const put = (name: string, value: string, mode = 0o600): void => {
  writeFileSync(join(directory, name), value);
  chmodSync(join(directory, name), mode);
};

before(() => {
  const programs = join(directory, 'programs');
  mkdirSync(programs);
  for (const program of ['qemu-system-x86_64', 'cloud-hypervisor', 'vhost-device-vsock']) writeFileSync(join(programs, program), '', { mode: 0o755 });
  environment['PATH'] = `${programs}:${environment['PATH']}`;
  put('kernel', 'a kernel');
  put('db', CANARY);
  put('inventory.yaml', `instances:
  db:
    module: {name: microvm, input: self}
    roles:
      guest:
        machines:
          alpha:
            settings:
              kernel: kernel
              mem: 192
              runtimeSecrets:
                api-key: {oemCredentialName: API_KEY, generateSecret: true}
                db-password: {secretPath: db}
  web:
    roles:
      guest:
        machines:
          alpha: {config: {kernel: kernel, mem: 192}}
          beta: {config: {kernel: kernel, mem: 192}}
`);
  put('wrong.yaml', `instances:
  a:
    roles: {guest: {machines: {host: {settings: {vcpu: 0, runtimeSecrets: {k: {secretPath: db, generateSecret: true}}}}}}}
  b:
    roles: {guest: {machines: {host: {settings: {vsock: {cid: 7}, memm: 5}}}}}
`);
});

transcript('a wrong inventory is refused with every problem and its place, whatever the command', ['check', 'explain a', 'run a'].map((command) => `
$ slicer ${command} --inventory=wrong.yaml
! slicer: error: wrong.yaml:3:56: instances.a.roles.guest.machines.host.settings.vcpu: expected an integer of 1 to 255, got 0
! slicer: error: wrong.yaml:3:96: instances.a.roles.guest.machines.host.settings.runtimeSecrets.k.generateSecret: expected one of secretPath, var and generateSecret: true, got secretPath too
! slicer: error: wrong.yaml:5:67: instances.b.roles.guest.machines.host.settings.memm: is no key of settings; did you mean "mem"
? 2`).join('').slice(1));

test('faults of one instance hide none of what is wrong on this machine with another', async () => {
  put('open', CANARY, 0o644);
  put('half.yaml', `instances:
  a: {roles: {guest: {machines: {host: {settings: {vcpu: 0}}}}}}
  b: {roles: {guest: {machines: {host: {settings: {kernel: kernel, runtimeSecrets: {k: {secretPath: open}}}}}}}}
`);
  const { code, stderr } = await run('slicer check --inventory=half.yaml');
  assert.equal(code, 2);
  assert.match(stderr, /^slicer: error: half\.yaml:2:\d+: instances\.a\.\S+ expected an integer of 1 to 255, got 0\nslicer: error: b: secret "k": \S+open has mode 0644$/m);
  assert.ok(!stderr.includes(CANARY));
  rmSync(join(directory, 'open'));
  rmSync(join(directory, 'half.yaml'));
});

transcript('an instance that is not there, or on several machines, is refused with the names that are', `
$ slicer run cache --inventory=inventory.yaml
! slicer: error: inventory.yaml has no instance "cache"
! slicer: hint: it has db, web/alpha, web/beta
? 4
$ slicer explain web --inventory=inventory.yaml
! slicer: error: instance "web" is on 2 machines
! slicer: hint: name one of web/alpha, web/beta
? 2
$ slicer explain db --inventory=gone.yaml
! slicer: error: "gone.yaml" does not exist
? 4
$ slicer check slicer.yaml --inventory=inventory.yaml
! slicer: error: --inventory is another file to check than slicer.yaml
! slicer: hint: check one at a time
? 2
`);

transcript('up takes the instances of one machine, which must be clear', `
$ slicer up --inventory=inventory.yaml --machine=gamma
! slicer: error: inventory.yaml has no machine "gamma"
! slicer: hint: --machine=NAME, one of alpha, beta
? 2
$ slicer up --inventory=wrong.yaml 2>&1 | head -1
slicer: error: wrong.yaml:3:56: instances.a.roles.guest.machines.host.settings.vcpu: expected an integer of 1 to 255, got 0
$ slicer up --machine=alpha
! slicer: error: --machine is for --inventory
! slicer: hint: slicer up --help
? 2
`);

const plain = (text: string): string => text.replaceAll(directory, 'DIR');
const MISSING = 'secret "api-key": DIR/vars/alpha/microvm-db/api-key does not exist';
const HINT = 'slicer vars --inventory inventory.yaml generate alpha';

test('a value that is not generated yet is a warning for check', async () => {
  const { code, stdout, stderr } = await run('slicer check --inventory=inventory.yaml');
  assert.equal(code, 0, stderr);
  assert.ok(plain(stderr).includes(`slicer: warning: db: ${MISSING}; ${HINT}\n`), stderr);
  assert.match(stdout.toString(), /^inventory\.yaml: no problems; instances: db, web\/alpha, web\/beta\n\nvm "db" on QEMU q35\n/);
  assert.match(stdout.toString(), /^api-key +- +boot +OEM string +credential API_KEY +-$/m);
  assert.match(stdout.toString(), /^db-password +17 +boot +OEM string +credential db-password +\d+$/m);
  assert.match(stdout.toString(), /^vm "web-beta" on QEMU q35$/m);
  assert.ok(!(stdout.toString() + stderr).includes(CANARY));
});

test('for run it is an error, with the command that makes it, and nothing is made', async () => {
  const files = readdirSync(directory, { recursive: true }).sort();
  const { code, stdout, stderr } = await run('slicer run db --inventory=inventory.yaml');
  assert.equal(code, 4, stderr);
  assert.ok(plain(stderr).startsWith(`slicer: error: ${MISSING}\nslicer: hint: ${HINT}\n`), stderr);
  assert.equal(stdout.toString(), '');
  assert.deepEqual(readdirSync(directory, { recursive: true }).sort(), files);
});

test('a value that was generated is delivered, and explain shows an instance by either name', async () => {
  mkdirSync(join(directory, 'vars/alpha/microvm-db'), { recursive: true, mode: 0o700 });
  put('vars/alpha/microvm-db/api-key', `${CANARY}-made`, 0o400);
  for (const name of ['db', 'db/alpha']) {
    const { code, stdout, stderr } = await run(`slicer explain ${name} api-key --inventory=inventory.yaml`);
    assert.equal(code, 0, stderr);
    assert.match(stdout.toString(), /^vm "db" on QEMU q35\n/);
    assert.match(stdout.toString(), /^api-key +22 +boot +OEM string +credential API_KEY +\d+$/m);
    assert.ok(!(stdout.toString() + stderr).includes(CANARY));
  }
  rmSync(join(directory, 'vars'), { recursive: true });
});

test('values may be elsewhere, which the hint says too', async () => {
  const { stderr } = await run('slicer run db --inventory=inventory.yaml --vars-dir=elsewhere');
  assert.ok(plain(stderr).startsWith('slicer: error: secret "api-key": DIR/elsewhere/alpha/microvm-db/api-key does not exist\nslicer: hint: slicer vars --inventory inventory.yaml --vars-dir elsewhere generate alpha\n'), stderr);
});

test('render prints what an instance would be started with', async () => {
  const { code, stdout, stderr } = await run('slicer render --format=qemu-args --directory=rendered web/beta --inventory=inventory.yaml');
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /slicer\.hostname=web-beta console=ttyS0/);
  rmSync(join(directory, 'rendered'), { recursive: true });
});

test('check --json is the inventory with defaults filled in', async () => {
  const { code, stdout } = await run('slicer check --inventory=inventory.yaml --json');
  assert.equal(code, 0);
  const { vms } = JSON.parse(stdout.toString()) as { vms: { name: string; machine: string; run: { ramBytes: number } }[] };
  assert.deepEqual(vms.map(({ name, machine, run: { ramBytes } }) => [name, machine, ramBytes]), [
    ['db', 'alpha', 192 * 1024 ** 2], ['web/alpha', 'alpha', 192 * 1024 ** 2], ['web/beta', 'beta', 192 * 1024 ** 2],
  ]);
});

const skip = (await run('nix-instantiate --version')).code === 0 ? false : 'nix-instantiate is not there: apt-get install nix-bin';

for (const [file, vm, credentials] of [
  ['my-microvm.nix', 'my-app-vm', ['API_KEY', 'DB_PASSWORD']], ['my-app.nix', 'my-app', ['API_KEY', 'DB_PASSWORD']],
] as const) {
  test(`the Nix of ${file} is checked with warnings for what is missing, and run names the same as errors`, { skip }, async () => {
    const path = join(import.meta.dirname, '../config/inventory', file);
    const { code, stdout, stderr } = await run(`slicer check --inventory=${path}`);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.toString().startsWith(`${path}: no problems; instances: ${vm}\n`));
    for (const name of credentials) assert.match(stdout.toString(), new RegExp(`credential ${name} `));
    const missing = stderr.split('\n').flatMap((line) => /^slicer: warning: (secret .* does not exist)(?:;|$)/.exec(line)?.[1] ?? []);
    assert.equal(missing.length, credentials.length, stderr);
    const vars = await run(`slicer vars --inventory=${path} list`);
    assert.match(vars.stdout.toString(), new RegExp(`^my-host +microvm-${vm} +api-key +random +0400 +missing$`, 'm'));
    const started = await run(`slicer run ${vm} --inventory=${path}`);
    assert.equal(started.code, 4, started.stderr);
    for (const fact of missing) assert.ok(started.stderr.includes(`slicer: error: ${fact}\n`), started.stderr);
  });
}

test('Nix that is wrong is told of by its attribute path, and Nix that does not evaluate in its own words', { skip }, async () => {
  put('wrong.nix', `{ instances.a.roles.guest.machines.m.settings = { vcpu = 0; runtimeSecrets.k = "${CANARY}"; }; }`);
  const wrong = await run('slicer check --inventory=wrong.nix');
  assert.deepEqual([wrong.code, wrong.stderr], [2, [
    'slicer: error: wrong.nix: instances.a.roles.guest.machines.m.settings.vcpu: expected an integer of 1 to 255, got 0',
    'slicer: error: wrong.nix: instances.a.roles.guest.machines.m.settings.runtimeSecrets.k: expected a map with secretPath', '',
  ].join('\n')]);
  put('broken.nix', `{\n  secret = "${CANARY}"; x = y;\n}`);
  const broken = await run('slicer run a --inventory=broken.nix');
  assert.equal(broken.code, 2);
  assert.match(broken.stderr, /^slicer: error: broken\.nix:2:\d+: nix: undefined variable 'y'\n$/);
});
