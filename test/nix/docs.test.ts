// The worked examples of docs/nixos.md, as they stand there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import { CLAN, NIX, nixStore, type Host } from './nix-instantiate.ts';

const nix = nixStore();
const text = readFileSync(join(import.meta.dirname, '../../docs/nixos.md'), 'utf8');
const INPUTS = 'inputs = { slicer = (import (root + "/nix/flake.nix")).outputs { }; microvm.nixosModules.host = { }; };';
/** Where an example has a file of its reader's, a name stands for it. */
const [host, microvm, clan] = [...text.matchAll(/```nix\n(.*?)```/gs)]
  .map(([, block]) => `(let ${INPUTS} in ${(block as string).replace(/"\$\{\/srv\/\S+\}"/, '"/nix/store/agent"')})`) as [string, string, string];

const loads = (configuration: Host, service: string): unknown => configuration.services[service]?.serviceConfig['LoadCredential'];

test('a NixOS host', NIX, async () => {
  const configuration = await nix.host(`[ ${host} ]`);
  assert.deepEqual(configuration.faults, []);
  assert.deepEqual(loads(configuration, 'slicer-vm-db'), ['API_KEY:/run/secrets/api-key', 'db-password:/run/secrets/db-password']);
  const file = parseRunFile(configuration.files['slicer/vms/db.json'] as string, { file: 'db.json', directory: '/' });
  assert.deepEqual(file.secrets.map(({ wish }) => wish.name), ['API_KEY', 'DB_PASSWORD']);
});

test('a VM of microvm.nix, and the guest in it', NIX, async () => {
  const outside = await nix.evaluate<Host>(`import (root + "/test/nix/microvm.nix") { inherit lib; } {
    guests.app = ${microvm}.microvm.vms.app.config.microvm;
    inherit (${microvm}.services) slicer;
  }`);
  assert.deepEqual(outside.faults, []);
  assert.deepEqual(loads(outside, 'microvm@app'), ['db-password:/run/secrets/db-password']);
  const file = parseRunFile(outside.files['slicer/vms/app.json'] as string, { file: 'app.json', directory: '/' });
  const inside = await nix.host(`[ (removeAttrs ${microvm}.microvm.vms.app.config [ "microvm" ]) ]`);
  assert.deepEqual(inside.faults, []);
  assert.deepEqual(loads(inside, 'my-app'), [`db-pass:${file.secrets[0]?.wish.name}`]);
  assert.deepEqual(inside.services['my-app']?.unitConfig, { AssertCredential: ['DB_PASSWORD'] });
});

test('an instance of clan', NIX, async () => {
  const configuration = await nix.evaluate<Host>(`${CLAN} { machine = "my-host"; inherit (${clan}) inventory; modules = [ ${clan}.machines.my-host ]; }`);
  assert.deepEqual(configuration.faults, []);
  assert.deepEqual(Object.keys(configuration.generators), ['microvm-my-app-vm', 'tls']);
  assert.deepEqual(loads(configuration, 'slicer-vm-my-app-vm'), [
    'api-key:/run/secrets/vars/microvm-my-app-vm/api-key', 'db-password:/run/secrets/vars/my-db/password', 'tls-key:/run/secrets/vars/tls/key',
  ]);
  parseRunFile(configuration.files['slicer/vms/my-app-vm.json'] as string, { file: 'vm.json', directory: '/' });
});
