// The page "Secrets Management" in its order, its commands typed as they stand there.
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { oneGroup, withSlicer } from './slicer.ts';

// The store is made by hand, as the page does it, before the daemon starts.
const fixture = withSlicer(oneGroup(), { prepare: makeStoreByHand });
const { skip } = fixture;

async function makeStoreByHand(slicer: typeof fixture.slicer): Promise<void> {
  for (const line of [
    'sudo mkdir .secrets',
    'sudo chmod 700 .secrets',
    'echo "my-api-key" | sudo tee .secrets/api-key > /dev/null',
    'sudo chmod 600 .secrets/api-key',
    'sudo chown 1000:1000 .secrets/api-key',
  ]) {
    const { exitCode, stderr } = await slicer.shell(line);
    assert.equal(exitCode, 0, `${line}: ${stderr}`);
  }
}

/** A line of the page, which must succeed: its stdout. */
async function typed(line: string): Promise<string> {
  const { stdout, stderr, exitCode } = await fixture.slicer.shell(line);
  assert.equal(exitCode, 0, `${line}\n${stderr}`);
  return stdout;
}

/** The same in the VM, as its default user. */
const typedInVm = (line: string): Promise<string> => fixture.slicer.inGuest('vm-1', line, { uid: 1000 });

test('a secret made with tee, chmod and chown is in a VM that is launched afterwards', { skip }, async () => {
  assert.equal(await fixture.slicer.launch(), 'vm-1');
  const listing = await typedInVm('ls -l /run/slicer/secrets/');
  // The page says "similar to": columns are as wide as this ls makes them, and the date is today's.
  const words = listing.trimEnd().split('\n').map((line) => line.trim().split(/\s+/));
  assert.deepEqual(words[0], ['total', '4']);
  assert.equal(words.length, 2);
  assert.match((words[1] as string[]).join(' '), /^-rw------- 1 ubuntu ubuntu 11 [A-Z][a-z]{2} \d+ \d\d:\d\d api-key$/);
  assert.equal(await typedInVm('cat /run/slicer/secrets/api-key'), 'my-api-key\n');
});

test('the secret is readable by the default user in the VM, and by nobody else but root', { skip }, async () => {
  const asNobody = await fixture.slicer.run(['vm', 'exec', 'vm-1', '--uid=65534', '--', 'cat', '/run/slicer/secrets/api-key']);
  assert.notEqual(asNobody.exitCode, 0);
  assert.equal(asNobody.stdout, '');
});

test('a secret is created from stdin, from a file through a pipe, from a literal and from a file', { skip }, async () => {
  const file = fixture.slicer.path('secret.txt');
  writeFileSync(file, 'from a file\n');
  const inVm = 'cat /run/slicer/secrets/my-secret';
  const remove = 'slicer secret remove my-secret';

  await typed('echo "my secret value" | slicer secret create my-secret');
  assert.equal(await typedAsRoot(inVm), 'my secret value\n');
  await typed(remove);

  await typed(`cat ${file} | slicer secret create my-secret`);
  assert.equal(await typedAsRoot(inVm), 'from a file\n');
  await typed(remove);

  await typed('slicer secret create my-secret --from-literal="my secret value"');
  assert.equal(await typedAsRoot(inVm), 'my secret value');
  await typed(remove);

  await typed(`slicer secret create my-secret --from-file=${file}`);
  assert.equal(await typedAsRoot(inVm), 'from a file\n');
  await typed(remove);
});

test('a secret is created with custom permissions and ownership', { skip }, async () => {
  await typed(`slicer secret create my-secret \\
  --from-file=${fixture.slicer.path('secret.txt')} \\
  --permissions=0600 \\
  --uid=1000 \\
  --gid=1000`);
  assert.equal(await typedAsRoot("stat -c '%a %u:%g' /run/slicer/secrets/my-secret"), '600 1000:1000\n');
  await typed('slicer secret remove my-secret');
});

test('by default a secret is owned by root and has permissions 0600', { skip }, async () => {
  writeFileSync(fixture.slicer.path('eleven.txt'), 'my-api-key\n');
  await typed('slicer secret create my-secret --from-file=eleven.txt');
  assert.equal(await typedAsRoot("stat -c '%a %u:%g' /run/slicer/secrets/my-secret"), '600 0:0\n');
  const host = statSync(fixture.slicer.path('.secrets/my-secret'));
  assert.deepEqual([host.mode & 0o7777, host.uid, host.gid], [0o600, 0, 0]);
});

test('secret list shows the names, and with -v size, permissions and owner', { skip }, async () => {
  // The page's lists show one secret.
  await typed('sudo rm .secrets/api-key');
  await fixture.slicer.untilInGuest('vm-1', '[ ! -e /run/slicer/secrets/api-key ]');
  assert.equal(await typed('slicer secret list'), 'NAME\n----\nmy-secret\n');
  assert.equal(await typed('slicer secret list -v'), [
    'NAME                      SIZE       PERMISSIONS  UID      GID',
    '----                      ----       -----------  ---      ---',
    'my-secret                 11         0600         0        0',
    '',
  ].join('\n'));
});

test('a secret is updated from a file', { skip }, async () => {
  writeFileSync(fixture.slicer.path('newsecret.txt'), 'a new value');
  await typed('slicer secret update my-secret --from-file=newsecret.txt');
  assert.equal(await typedAsRoot('cat /run/slicer/secrets/my-secret'), 'a new value');
});

test('permissions and ownership are updated, and the value stays', { skip }, async () => {
  await typed(`slicer secret update my-secret \\
  --permissions=0644 \\
  --uid=1001 \\
  --gid=1001`);
  assert.equal(await typedAsRoot("stat -c '%a %u:%g' /run/slicer/secrets/my-secret"), '644 1001:1001\n');
  assert.equal(await typedAsRoot('cat /run/slicer/secrets/my-secret'), 'a new value');
});

test('a secret is removed by name', { skip }, async () => {
  await typed('slicer secret remove my-secret');
  assert.equal(await typed('slicer secret list'), 'NAME\n----\n');
  assert.equal(await typedAsRoot('ls -A /run/slicer/secrets'), '');
});

test('vm launch --secret makes that secret available but no other', { skip }, async () => {
  await typed('echo "my secret value" | slicer secret create my-secret');
  await typed('echo other | slicer secret create other-secret');
  await typed('slicer vm launch --secret=my-secret --wait');
  assert.equal(await fixture.slicer.inGuest('vm-2', 'ls -A /run/slicer/secrets'), 'my-secret\n');
  assert.equal(await typedAsRoot('ls -A /run/slicer/secrets'), 'my-secret\nother-secret\n');
});

test('secrets that were added, updated and removed are re-synced by sudo slicer-agent secrets sync', { skip }, async () => {
  fixture.slicer.put('late', 'late value\n');
  await typed('rm .secrets/other-secret');
  await typed('echo "my new value" | slicer secret update my-secret --no-wait');
  const printed = await typedAsRoot('sudo slicer-agent secrets sync');
  // What the agent was told of before it is asked is in place already.
  assert.match(printed, /^((added late|changed my-secret|removed other-secret)\n)*$/);
  assert.equal(await typedAsRoot('cd /run/slicer/secrets && ls && cat *'), 'late\nmy-secret\nlate value\nmy new value\n');
  assert.equal(await typedAsRoot('sudo slicer-agent secrets sync'), '');
});

function typedAsRoot(line: string): Promise<string> {
  return fixture.slicer.inGuest('vm-1', line);
}
