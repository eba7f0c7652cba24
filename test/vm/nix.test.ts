// From NixOS options to a guest: nix/host.nix makes a file and a unit; with what the unit loads, the command
// of the unit boots a VM that has its credentials byte for byte, and whatever Nix saw has no value.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { NIX, nixStore, type Host } from '../nix/nix-instantiate.ts';
import { Foreground, guestWith } from './foreground-vm.ts';
import { MISSING_PART, ROOT } from './parts.ts';

const skip = MISSING_PART || NIX.skip;
const foreground = new Foreground();
after(() => foreground.close());
const nix = nixStore();

const CANARY = 'canary-nix-31f8';
const VALUES = { 'db-password': Buffer.from(`${CANARY}\n`), 'tls-key': Buffer.concat([Buffer.from(CANARY), randomBytes(2000), Buffer.from('\0\n')]), API_KEY: Buffer.from(`${CANARY}-api`) } as const;
const sha256 = (value: Uint8Array): string => createHash('sha256').update(value).digest('hex');

/** Prints what the guest has of both channels. */
const SCRIPT = `
while [ ! -e /run/credstore/tls-key ]; do usleep 50000; done
strings() { tr '\\0' '\\n' < /sys/firmware/dmi/entries/11-0/raw; }
for name in DB_PASSWORD API_KEY; do
  echo "has $name $(strings | sed -n "s/^io.systemd.credential.binary:$name=//p" | base64 -d | sha256sum)"
done
echo "has tls-key $(sha256sum < /run/credstore/tls-key)"
echo "has strings $(strings | grep -c '^io.systemd.credential:ENVIRONMENT=production$')"
echo end-of-script
`;

test('the VM that NixOS options describe boots with its credentials, byte for byte, and Nix has seen none', { skip }, async (t) => {
  for (const [name, value] of Object.entries(VALUES)) foreground.put(name, value, 0o400);
  const boot = new Map((await guestWith(foreground, SCRIPT)).trimEnd().split('\n').map((line) => line.split(': ') as [string, string]));
  const modules = `[
    (root + "/nix/host.nix")
    { services.slicer = {
        enable = true;
        program = "${join(ROOT, 'bin/slicer')}";
        vms.db = {
          kernel = "${boot.get('kernel')}"; initrd = "${foreground.path(boot.get('initrd') as string)}"; cmdline = "${boot.get('cmdline')}"; mem = ${boot.get('mem')};
          runtimeSecrets = {
            db-password = { secretPath = "${foreground.path('db-password')}"; oemCredentialName = "DB_PASSWORD"; };
            tls-key = { secretPath = "${foreground.path('tls-key')}"; deliver = "live"; };
          };
          credentialFiles.API_KEY = "${foreground.path('API_KEY')}";
          staticOEMStrings = [ "io.systemd.credential:ENVIRONMENT=production" ];
        };
      };
    }
  ]`;
  const { stdout, stderr, failed } = await nix.run(`import (root + "/test/nix/evaluate.nix") { inherit lib; } ${modules}`, '--read-write-mode');
  assert.equal(failed, false, stderr);
  assert.ok(!stdout.includes(CANARY) && !nix.contents().includes(CANARY));
  const { faults, files, services } = JSON.parse(stdout) as Host;
  assert.deepEqual(faults, []);
  foreground.put('db.json', files['slicer/vms/db.json'] as string);

  const check = foreground.run(['check', 'db.json']);
  assert.equal(await check.end(), 0, check.output());
  assert.doesNotMatch(check.output(), /slicer: (error|warning)/);

  // What systemd does for the unit; then its secrets are nowhere else.
  const { LoadCredential, ExecStart } = services['slicer-vm-db']?.serviceConfig as { LoadCredential: string[]; ExecStart: string };
  mkdirSync(foreground.path('credentials'), { mode: 0o700 });
  for (const [, id, path] of LoadCredential.map((line) => /^([^:]+):(.+)$/.exec(line) as RegExpExecArray)) copyFileSync(path as string, foreground.path(`credentials/${id}`));
  for (const name of Object.keys(VALUES)) rmSync(foreground.path(name));
  const [program, ...args] = ExecStart.split(' ').map((word) => (word === '/etc/slicer/vms/db.json' ? foreground.path('db.json') : word));
  assert.equal(program, join(ROOT, 'bin/slicer'));
  const vm = foreground.run([...args, '--stop-grace=0s'], { CREDENTIALS_DIRECTORY: foreground.path('credentials') });
  t.after(() => vm.end('SIGKILL'));
  await vm.until(/end-of-script/);
  assert.deepEqual(Object.fromEntries([...vm.output().matchAll(/^has (\S+) (\w+)/gm)].map(([, name, found]) => [name, found])), {
    DB_PASSWORD: sha256(VALUES['db-password']), API_KEY: sha256(VALUES.API_KEY), 'tls-key': sha256(VALUES['tls-key']), strings: '1',
  });
  assert.ok(!vm.output().includes(CANARY));
  await vm.end('SIGTERM');
});
