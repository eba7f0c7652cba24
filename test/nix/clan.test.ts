// The clan service, by the two examples of instances that its documentation has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import { CLAN, NIX, nixStore, type Host } from './nix-instantiate.ts';

const nix = nixStore();
const MODULES = '[ { services.slicer.program = "/opt/slicer/bin/slicer"; } ]';
const WITH_GENERATOR = '[ { services.slicer.program = "/opt/slicer/bin/slicer"; clan.core.vars.generators.tls = { files.key = { }; script = "make-key"; }; } ]';
const clanOf = (inventory: string, machine = 'my-host', modules = MODULES): Promise<Host> => nix.evaluate(`${CLAN} {
  machine = "${machine}";
  modules = ${modules};
  inventory = (import (root + "/nix")).inventory (${inventory});
}`);
const instance = (settings: string): string => `{ instances.vm.roles.guest.machines.my-host.settings = ${settings}; }`;

const FIRST = `{ inputs }: {
  instances = {
    "my-app-vm" = {
      module.name = "microvm";
      module.input = "self";
      roles.guest = {
        machines.my-host = {
          config = {
            hypervisor = "cloud-hypervisor";
            vcpu = 2;
            mem = 1024;

            runtimeSecrets = {
              # Auto-generated secret (via clan vars)
              api-key = {
                oemCredentialName = "API_KEY";
                generateSecret = true;
              };

              # User-provided secret (from file)
              db-password = {
                oemCredentialName = "DB_PASSWORD";
                secretPath = "/run/secrets/vars/my-db/password";
                generateSecret = false;
              };
            };

            staticOEMStrings = [
              "io.systemd.credential:ENVIRONMENT=production"
            ];
          };
        };
      };
    };
  };
}`;
const SECOND = `{
  instances."my-app" = {
    module.name = "microvm";
    roles.guest.machines.my-host.config = {
      runtimeSecrets = {
        api-key.oemCredentialName = "API_KEY";
        db-pass.oemCredentialName = "DB_PASSWORD";
      };
      staticOEMStrings = [
        "io.systemd.credential:ENVIRONMENT=production"
      ];
    };
  };
}`;

test('an instance with a generated secret and a given one', NIX, async () => {
  const host = await clanOf(`(${FIRST}) { inputs = { }; }`);
  assert.deepEqual(host.faults, []);
  assert.deepEqual(JSON.parse(host.files['slicer/vms/my-app-vm.json'] as string), {
    name: 'my-app-vm', image: 'debian', hypervisor: 'cloud-hypervisor', vcpu: 2, mem: 1024,
    runtimeSecrets: {
      'api-key': { oemCredentialName: 'API_KEY', secretPath: '/run/secrets/vars/microvm-my-app-vm/api-key' },
      'db-password': { oemCredentialName: 'DB_PASSWORD', secretPath: '/run/secrets/vars/my-db/password' },
    },
    staticOEMStrings: ['io.systemd.credential:ENVIRONMENT=production'],
  });
  assert.deepEqual(host.services['slicer-vm-my-app-vm']?.serviceConfig['LoadCredential'], [
    'api-key:/run/secrets/vars/microvm-my-app-vm/api-key', 'db-password:/run/secrets/vars/my-db/password',
  ]);
  assert.deepEqual(Object.keys(host.generators['microvm-my-app-vm']?.files ?? {}), ['api-key']);
  parseRunFile(host.files['slicer/vms/my-app-vm.json'] as string, { file: 'vm.json', directory: '/' });
});

test('a secret that says nothing of where it is from is generated, all of an instance by one generator', NIX, async () => {
  const host = await clanOf(SECOND);
  assert.deepEqual(host.faults, []);
  const generator = host.generators['microvm-my-app'];
  assert.deepEqual(Object.entries(generator?.files ?? {}).map(([name, { secret, mode }]) => [name, secret, mode]), [['api-key', true, '0400'], ['db-pass', true, '0400']]);
  assert.match(generator?.script ?? '', /^openssl rand -base64 32 \| tr -d '\\n' > "\$out"\/'?api-key'?\nopenssl .*db-pass'?$/);
  parseRunFile(host.files['slicer/vms/my-app.json'] as string, { file: 'vm.json', directory: '/' });
});

test("today's names are as good as those", NIX, async () => {
  assert.deepEqual(await clanOf(SECOND.replace('my-host.config', 'my-host.settings')), await clanOf(SECOND));
});

test('a machine has its own instances only', NIX, async () => {
  const inventory = `{ instances = {
    here.roles.guest.machines.my-host.settings.mem = 256;
    both.roles.guest.machines = { my-host = { }; other = { }; };
    there.roles.guest.machines.other.settings.mem = 256;
  }; }`;
  assert.deepEqual(Object.keys((await clanOf(inventory)).services), ['slicer-vm-both', 'slicer-vm-here']);
  assert.deepEqual(Object.keys((await clanOf(inventory, 'other')).services), ['slicer-vm-both', 'slicer-vm-there']);
});

test('an instance without generated secrets has no generator', NIX, async () => {
  const host = await clanOf(instance('{ runtimeSecrets.a.secretPath = "/run/a"; credentialFiles.B = "/run/b"; }'));
  assert.deepEqual(host.generators, {});
  assert.deepEqual(host.services['slicer-vm-vm']?.serviceConfig['LoadCredential'], ['B:/run/b', 'a:/run/a']);
});

test('a secret may be a file of a generator of the machine', NIX, async () => {
  const host = await clanOf(instance('{ runtimeSecrets.key = { var = "tls/key"; oemCredentialName = "TLS_KEY"; }; }'), 'my-host', WITH_GENERATOR);
  assert.deepEqual(host.faults, []);
  assert.deepEqual(Object.keys(host.generators), ['tls']);
  assert.deepEqual(host.services['slicer-vm-vm']?.serviceConfig['LoadCredential'], ['key:/run/secrets/vars/tls/key']);
});

test('a secret with two sources, with none, or of a generator that there is not, is refused', NIX, async () => {
  const host = await clanOf(instance(`{ runtimeSecrets = {
    both = { secretPath = "/run/a"; generateSecret = true; };
    gone.var = "tls/cert";
    neither.generateSecret = false;
    words.var = "tls";
  }; }`), 'my-host', WITH_GENERATOR);
  assert.deepEqual([...host.faults].sort(), [
    'instance vm: secret "both" has secretPath and generateSecret; it is one of them',
    'instance vm: secret "gone" has a var that is no GENERATOR/FILE of this machine',
    'instance vm: secret "words" has a var that is no GENERATOR/FILE of this machine',
    ...['gone', 'neither', 'words'].map((name) => `services.slicer.vms.vm: secret "${name}" has no secretPath, and nothing makes its value here`),
  ]);
});

test('settings that there are not are refused by name', NIX, async () => {
  await assert.rejects(clanOf(instance('{ vcpus = 2; }')), /vcpus/);
});
