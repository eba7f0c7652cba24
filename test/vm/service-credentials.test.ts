// What services of a Debian guest make of credentials: those that name one read its exact bytes, whichever
// way it came, and nobody else does. On q35 they come through SMBIOS, on microvm through fw_cfg.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { MISSING_DEBIAN } from './parts.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const VALUES = {
  random: randomBytes(30_000),
  pem: Buffer.from(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
  odd: Buffer.from('a,b;[c]{d}"e"\'f\'\\g=h:i|$(j)`k`\n\r\t%s%n \n\n'),
  nul: Buffer.from('before\0after\0\0'),
  utf8: Buffer.from('Grüße, 世界 🔑\n'),
} as const;
const names = Object.keys(VALUES) as (keyof typeof VALUES)[];
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const fixture = withSlicer(oneGroup('secrets: none').replace('image: tiny', 'image: debian').replace('ram_mb: 192', 'ram_mb: 512'), {
  skip: MISSING_DEBIAN,
  prepare: async (slicer) => {
    for (const name of names) slicer.put(name, VALUES[name]);
  },
});
const { skip } = fixture;

const FIRMWARE = {
  q35: ['/sys/firmware/dmi/entries/11-0/raw', '/sys/firmware/dmi/entries/11-0/length', '/sys/firmware/dmi/tables/DMI', '/sys/firmware/dmi/tables/smbios_entry_point'],
  microvm: ['raw', 'size', 'key'].map((file) => `/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/random/${file}`),
} as const;

for (const machine of ['q35', 'microvm'] as const) {
  let vm = '';
  /** A unit of the guest's, started; what systemd says of its end. */
  const runUnit = async (name: string, service: readonly string[], unit: readonly string[] = []): Promise<string> => {
    const text = ['[Unit]', ...unit, '[Service]', 'Type=oneshot', ...service, ''].join('\n');
    await fixture.slicer.inGuest(vm, `cat > /run/systemd/system/${name}.service && systemctl daemon-reload`, { stdin: text });
    return fixture.slicer.inGuest(vm, `systemctl start ${name}.service 2>&1; systemctl show -P Result ${name}.service`);
  };

  test(`on ${machine} the system's credentials have their names`, { skip }, async () => {
    vm = await fixture.slicer.launch(`--machine=${machine}`, '--timeout=120s', ...names.map((name) => `--credential=${name}=${name}`));
    const listed = JSON.parse(await fixture.slicer.inGuest(vm, 'systemd-creds --system --json=short list')) as { name: string; size: string }[];
    assert.deepEqual(listed.map(({ name }) => name).sort(), [...names, 'slicer.boot-token', 'slicer.host-port'].sort());
  });

  test(`on ${machine} a service reads the exact bytes of those that it names, and sees no other`, { skip }, async () => {
    const load = names.filter((name) => name !== 'nul').map((name) => `LoadCredential=${name}`);
    assert.match(await runUnit('reads', [...load, 'User=ubuntu',
      'ExecStart=sh -c "cd $CREDENTIALS_DIRECTORY && sha256sum * > /tmp/reads && stat -c %%a . * > /tmp/reads-modes"']), /^success$/m);
    const seen = new Map((await fixture.slicer.inGuest(vm, 'cat /tmp/reads')).trimEnd().split('\n').map((line) => line.split('  ').reverse() as [string, string]));
    assert.deepEqual(seen, new Map(names.filter((name) => name !== 'nul').sort().map((name) => [name, sha256(VALUES[name])])));
    // A value with NULs in a service of root's own.
    assert.match(await runUnit('reads-nul', ['LoadCredential=nul', 'ExecStart=sh -c "sha256sum < $CREDENTIALS_DIRECTORY/nul > /run/reads-nul"']), /^success$/m);
    assert.equal(await fixture.slicer.inGuest(vm, 'cat /run/reads-nul'), `${sha256(VALUES.nul)}  -\n`);
  });

  test(`on ${machine} a service that names none has none`, { skip }, async () => {
    assert.match(await runUnit('has-none', ['User=ubuntu', 'ExecStart=sh -c "echo directory=$CREDENTIALS_DIRECTORY > /tmp/has-none; cat /run/credentials/@system/pem /run/credentials/*/pem >> /tmp/has-none 2>/dev/null; true"']), /^success$/m);
    assert.equal(await fixture.slicer.inGuest(vm, 'cat /tmp/has-none'), 'directory=\n');
  });

  test(`on ${machine} a missing credential stops the service that asserts it, and not one that only loads it`, { skip }, async () => {
    const start = 'ExecStart=touch /run/started-%p';
    assert.match(await runUnit('asserts', ['LoadCredential=absent', start], ['AssertCredential=absent']), /assertion failed|[Aa]ssert/);
    assert.match(await runUnit('loads', ['LoadCredential=absent', start]), /^success$/m);
    assert.equal(await fixture.slicer.inGuest(vm, 'ls -d /run/started-*'), '/run/started-loads\n');
    assert.match(await runUnit('asserts-it', ['LoadCredential=pem', start], ['AssertCredential=pem']), /^success$/m);
    assert.equal(await fixture.slicer.inGuest(vm, 'ls -d /run/started-asserts*'), '/run/started-asserts-it\n');
  });

  test(`on ${machine} an ordinary user reads none of the firmware's tables, whichever way he tries`, { skip }, async () => {
    const ways = [...FIRMWARE[machine], '/run/credentials/@system/pem', '/dev/mem', '/dev/port', '/proc/kcore', '/proc/1/root/run/credentials/@system/pem'];
    for (const path of ways) {
      const { exitCode, stdout } = await fixture.slicer.run(['vm', 'exec', vm, '--uid=1000', '--', 'head', '-c', '16', path]);
      assert.deepEqual([exitCode === 0, stdout], [false, ''], path);
    }
    const { exitCode } = await fixture.slicer.run(['vm', 'exec', vm, '--uid=1000', '--', 'systemd-creds', '--system', 'cat', 'pem']);
    assert.notEqual(exitCode, 0);
    // Two of the ways lead somewhere for root, so that they are ways.
    for (const path of [FIRMWARE[machine][0], '/run/credentials/@system/pem']) await fixture.slicer.inGuest(vm, `head -c 16 ${path} | grep -q .`);
    await fixture.slicer.ok(['vm', 'delete', vm]);
  });
}
