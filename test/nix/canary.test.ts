// That a value never gets into what Nix evaluates, or into its store; and that what Nix makes is what
// `slicer check` takes. The expressions are those of the documentation.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { workspace } from '../cli/transcript.ts';
import { CLAN, NIX, nixStore, type Host } from './nix-instantiate.ts';

const nix = nixStore();
const { directory, environment, run } = workspace();
const CANARY = 'canary-value-b91c';

const place = (name: string): string => join(directory, name);

before(() => {
  mkdirSync(place('secrets'));
  for (const name of ['given', 'generated']) {
    writeFileSync(place(`secrets/${name}`), CANARY);
    chmodSync(place(`secrets/${name}`), 0o400);
  }
  const programs = place('programs');
  mkdirSync(programs);
  for (const program of ['qemu-system-x86_64', 'cloud-hypervisor', 'vhost-device-vsock']) writeFileSync(join(programs, program), '', { mode: 0o755 });
  environment['PATH'] = `${programs}:${environment['PATH']}`;
  writeFileSync(place('kernel'), '');
});

/** A clan whose machine has every secret at a path of this machine, and what of it is written to the store. */
const expression = (secret: string): string => `let
  host = ${CLAN} {
    machine = "my-host";
    modules = [
      { services.slicer.program = "/opt/slicer/bin/slicer"; }
      { services.slicer.vms.own = { kernel = "${place('kernel')}"; credentialFiles.API_KEY = ${secret}; }; }
      { clan.core.vars.generators.microvm-vm.files.made.path = lib.mkForce "${place('secrets/generated')}"; }
    ];
    inventory.instances.vm.roles.guest.machines.my-host.settings = {
      hypervisor = "cloud-hypervisor";
      kernel = "${place('kernel')}";
      runtimeSecrets = { made = { }; given = { secretPath = ${secret}; oemCredentialName = "GIVEN"; }; };
    };
  };
in host // { stored = builtins.toFile "host.json" (builtins.toJSON host); }`;

test('no value is in what is evaluated or in the store, and the files pass slicer check', NIX, async () => {
  const { stdout, stderr, failed } = await nix.run(expression(`"${place('secrets/given')}"`), '--read-write-mode');
  assert.equal(failed, false, stderr);
  assert.ok(!stdout.includes(CANARY) && !stderr.includes(CANARY));
  const host = JSON.parse(stdout) as Host;
  assert.deepEqual(host.faults, []);
  // The store has what was evaluated, so the search is one in the right place.
  assert.ok(nix.contents().includes('LoadCredential'));
  assert.ok(!nix.contents().includes(CANARY));

  for (const name of ['vm', 'own']) {
    const text = host.files[`slicer/vms/${name}.json`] as string;
    assert.ok(!text.includes(CANARY));
    writeFileSync(place(`${name}.json`), text);
    const check = await run(`slicer check ${name}.json`);
    assert.equal(check.code, 0, check.stderr);
    assert.doesNotMatch(check.stderr, /error|secret/);
    assert.match(check.stdout.toString(), new RegExp(`no problems; vm: ${name}`));
    assert.ok(!check.stdout.includes(CANARY) && !check.stderr.includes(CANARY));
  }
});

for (const option of ['runtimeSecrets.given.secretPath', 'credentialFiles.given']) {
  test(`a path of Nix in ${option}, which would be copied into the store, is refused`, NIX, async () => {
    const { stdout, stderr, failed } = await nix.run(`import (root + "/test/nix/evaluate.nix") { inherit lib; } [
      (root + "/nix/host.nix")
      { services.slicer = { enable = true; program = "/opt/slicer/bin/slicer"; vms.own.${option} = ${place('secrets/given')}; }; }
    ]`, '--read-write-mode');
    assert.equal(failed, true);
    assert.match(stderr, /is not of type/);
    assert.ok(!stdout.includes(CANARY) && !stderr.includes(CANARY));
    assert.ok(!nix.contents().includes(CANARY));
  });
}

test("a path of Nix among a guest's credentialFiles is named and not copied", NIX, async () => {
  const { stdout, stderr, failed } = await nix.run(`(import (root + "/test/nix/microvm.nix") { inherit lib; } {
    guests.db.credentialFiles.A = ${place('secrets/given')};
    slicer.vms.db = { };
  }).services."microvm@db".serviceConfig.LoadCredential`, '--read-write-mode');
  assert.equal(failed, false, stderr);
  assert.deepEqual(JSON.parse(stdout), [`A:${place('secrets/given')}`]);
  assert.ok(!nix.contents().includes(CANARY));
});

test('a value in the place of its path is in no message', NIX, async () => {
  const { stdout } = await nix.run(`(${expression(`"${CANARY}"`)}).faults`);
  const faults = JSON.parse(stdout) as string[];
  assert.ok(faults.some((fault) => fault.includes('"given": secretPath is no absolute path')));
  assert.ok(!stdout.includes(CANARY));
});
