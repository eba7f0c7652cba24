// From an inventory to a guest that has what it declares: values are made where they are missing, the VM
// starts with them, and what was made is found nowhere else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Foreground, guestWith } from './foreground-vm.ts';
import { MISSING_PART } from './parts.ts';
import { allProcesses } from './processes.ts';
import { find } from './search.ts';

const skip = MISSING_PART;
const foreground = new Foreground();
after(() => foreground.close());

const GIVEN = 'canary-given-7a40c2';
const sha256 = (value: Uint8Array | string): string => createHash('sha256').update(value).digest('hex');

/** Prints what the guest has of both channels. */
const SCRIPT = `
while [ ! -e /run/credstore/certificate ]; do usleep 50000; done
strings() { tr '\\0' '\\n' < /sys/firmware/dmi/entries/11-0/raw; }
for name in API_KEY DB_PASSWORD; do
  echo "has $name $(strings | sed -n "s/^io.systemd.credential.binary:$name=//p" | base64 -d | sha256sum)"
done
echo "has certificate $(sha256sum < /run/credstore/certificate)"
echo end-of-script
`;

before(async () => {
  if (skip !== false) return;
  foreground.put('given', GIVEN);
  const boot = (await guestWith(foreground, SCRIPT)).replace(/^(?=.)/gm, '              ');
  foreground.put('inventory.yaml', `instances:
  web:
    module: {name: microvm, input: self}
    roles:
      guest:
        machines:
          here:
            settings:
${boot}              runtimeSecrets:
                api-key: {oemCredentialName: API_KEY, generateSecret: true}
                certificate: {var: tls/cert.pem, deliver: live}
              credentialFiles: {DB_PASSWORD: given}
generators:
  tls: {kind: x509, commonName: web.example}
`);
});

/** Ends with this exit code, and has said all that is returned. */
async function ended(args: readonly string[], code: number): Promise<string> {
  const command = foreground.run(args);
  assert.equal(await command.end(), code, command.output());
  return command.output();
}

test('what an inventory declares is made once, checked, and reaches the guest byte for byte', { skip }, async (t) => {
  const flags = ['--inventory', 'inventory.yaml'];
  assert.match(await ended(['run', 'web', ...flags], 4), /slicer: hint: slicer vars --inventory inventory\.yaml generate here/);
  assert.match(await ended(['check', ...flags], 0), /slicer: warning: secret "api-key": \S+ does not exist/);
  await ended(['vars', ...flags, 'generate'], 0);
  assert.doesNotMatch(await ended(['check', ...flags], 0), /does not exist/);

  const made = ['microvm-web/api-key', 'tls/cert.pem'].map((name) => readFileSync(foreground.path(`vars/here/${name}`)));
  const [apiKey, certificate] = made as [Buffer, Buffer];
  const vm = foreground.run(['run', 'web', '--stop-grace=0s', ...flags]);
  t.after(() => vm.end('SIGKILL'));
  await vm.until(/end-of-script/);
  assert.deepEqual(Object.fromEntries([...vm.output().matchAll(/^has (\S+) ([0-9a-f]{64})/gm)].map(([, name, hash]) => [name, hash])), {
    API_KEY: sha256(apiKey), DB_PASSWORD: sha256(GIVEN), certificate: sha256(certificate),
  });
  assert.equal(statSync(foreground.path('vars')).mode & 0o777, 0o700);
  const places = [
    ...allProcesses().flatMap(({ pid, cmdline, environ }) => [{ where: `arguments of ${pid}`, bytes: cmdline }, { where: `environment of ${pid}`, bytes: environ }]),
    { where: 'the output', bytes: Buffer.from(vm.output()) },
  ];
  assert.deepEqual(find([apiKey.toString('latin1'), GIVEN], places), []);
  await vm.end('SIGTERM');
  assert.equal(existsSync(await foreground.runtimeDirectory('web')), false);
});

test('a generated value that others may read starts no VM', { skip }, async () => {
  chmodSync(foreground.path('vars/here/microvm-web/api-key'), 0o404);
  assert.match(await ended(['run', 'web', '--inventory', 'inventory.yaml'], 6), /vars\/here\/microvm-web\/api-key has mode 0404/);
});
