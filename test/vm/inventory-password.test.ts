// A password that was made on the host, in a guest with systemd: the account that systemd makes at boot has
// it, by its hash, and the password itself is on the host alone.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { MISSING_DEBIAN } from './parts.ts';
import { oneGroup, withSlicer } from './slicer.ts';

/** As docs/generators.md has it. */
const INVENTORY = `
generators:
  login: {kind: password}
instances:
  web:
    roles:
      guest:
        machines:
          here:
            settings:
              runtimeSecrets:
                hash: {var: login/hash, oemCredentialName: passwd.hashed-password.deploy, allowReserved: true}
                account: {secretPath: account, oemCredentialName: sysusers.extra, allowReserved: true}
                drop-in: {secretPath: drop-in, oemCredentialName: systemd.unit-dropin.systemd-sysusers.service, allowReserved: true}
`;
const BOOT_LIMIT_MS = 120_000;

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_DEBIAN,
  prepare: async (slicer) => {
    writeFileSync(slicer.path('inventory.yaml'), INVENTORY);
    writeFileSync(slicer.path('account'), 'u deploy 2000 - / /bin/sh\n', { mode: 0o400 });
    writeFileSync(slicer.path('drop-in'), '[Service]\nImportCredential=passwd.hashed-password.deploy\n', { mode: 0o400 });
    await slicer.ok(['vars', '--inventory=inventory.yaml', 'generate']);
  },
  up: ['--inventory=inventory.yaml', '--machine=here'],
});
const { skip } = fixture;

test('systemd gives an account the password whose hash was generated', { skip }, async () => {
  const { slicer } = fixture;
  const [hash, password] = ['hash', 'password'].map((name) => readFileSync(slicer.path(`vars/here/login/${name}`), 'utf8')) as [string, string];
  await slicer.untilHolds('web', BOOT_LIMIT_MS);
  await slicer.inGuest('web', 'systemctl start systemd-sysusers.service', { limitMs: BOOT_LIMIT_MS });
  assert.equal((await slicer.inGuest('web', 'grep ^deploy: /etc/shadow')).split(':')[1], hash);

  const logIn = (typed: string) => slicer.run(['vm', 'exec', 'web', '--uid=1000', '--', 'su', 'deploy', '-c', 'id -un'], { stdin: `${typed}\n` });
  assert.deepEqual([(await logIn(password)).stdout, (await logIn(`${password}x`)).exitCode], ['deploy\n', 1]);
  const places = '/etc /run/credentials /run/credstore /run/slicer /sys/firmware/dmi/entries';
  const having = (value: string): Promise<string> => slicer.inGuest('web', `grep -rlsF -e "$(cat)" ${places} || true`, { stdin: value });
  // The hash is in the first, so that this is a way to find what is there.
  assert.match(await having(hash), /^\/etc\/shadow$/m);
  assert.equal(await having(password), '');
});
