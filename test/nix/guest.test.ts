// A NixOS guest: the same units as `slicer-agent install` puts elsewhere, and services that get what they name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT_PATH, SYSTEMD_UNITS } from '../../agent/units.ts';
import { NIX, nixStore, type Host, type Section, type Unit } from './nix-instantiate.ts';

const nix = nixStore();
const guestWith = (settings: string): Promise<Host> => nix.host(`[
  (import (root + "/nix")).nixosModules.guest
  { services.slicer-agent = { program = "${AGENT_PATH}"; } // ${settings}; }
]`);

type Lines = Readonly<Record<string, readonly string[]>>;

/** Sections of a unit's file, each with what its keys are set to; lists of units are one each. */
function parseUnit(text: string): Readonly<Record<string, Lines>> {
  const sections: Record<string, Record<string, string[]>> = {};
  let section: Record<string, string[]> = {};
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const [, title] = /^\[(.*)\]$/.exec(line) ?? [];
    if (title !== undefined) {
      section = sections[title] = {};
      continue;
    }
    const [key, value] = [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)];
    (section[key] ??= []).push(...(/^(Wants|After|Before|Requires|Conflicts|WantedBy)$/.test(key) ? value.split(' ') : [value]));
  }
  return sections;
}

const asLines = (section: Section): Lines => Object.fromEntries(Object.entries(section)
  .map(([key, value]) => [key, typeof value === 'object' ? value : [typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value)]]));

/** As NixOS writes it. */
function unitSections(unit: Unit): Readonly<Record<string, Lines>> {
  const { description, wants, requires, after, before, conflicts, wantedBy, unitConfig } = unit;
  const filled = (lines: Lines): Lines => Object.fromEntries(Object.entries(lines).filter(([, values]) => values.length > 0));
  return {
    Unit: filled({ Description: [description], Wants: wants, Requires: requires, After: after, Before: before, Conflicts: conflicts, ...asLines(unitConfig) }),
    Install: filled({ WantedBy: wantedBy }),
  };
}

test('the units are those of slicer-agent install', NIX, async () => {
  const host = await guestWith('{ enable = true; }');
  const services = Object.fromEntries(Object.entries(host.services).map(([name, unit]) => [`${name}.service`, { ...unitSections(unit), Service: asLines(unit.serviceConfig) }]));
  const sockets = Object.fromEntries(Object.entries(host.sockets).map(([name, unit]) => [`${name}.socket`, { ...unitSections(unit), Socket: { ListenStream: unit.listenStreams, ...asLines(unit.socketConfig) } }]));
  const targets = Object.fromEntries(Object.entries(host.targets).map(([name, unit]) => [`${name}.target`, unitSections(unit)]));
  const installed = Object.fromEntries(SYSTEMD_UNITS.files.map(({ path, text }) => [path.split('/').at(-1), { Install: {}, ...parseUnit(text) }]));
  assert.deepEqual({ ...services, ...sockets, ...targets }, installed);
});

test('a service is given the credentials that it names, and does not start without', NIX, async () => {
  const host = await guestWith('{ credentials.my-app = { api-key.name = "API_KEY"; plain = { }; }; }');
  const service = host.services['my-app'];
  assert.deepEqual(service?.serviceConfig, { LoadCredential: ['api-key:API_KEY', 'plain:plain'] });
  assert.deepEqual(service?.unitConfig, { AssertCredential: ['API_KEY', 'plain'] });
  assert.deepEqual([service?.wants, service?.after], [[], []]);
});

test('a service waits for credentials that come live', NIX, async () => {
  const host = await guestWith('{ enable = true; credentials.my-app = { db = { name = "DB"; deliver = "live"; }; key = { }; }; }');
  const service = host.services['my-app'];
  assert.deepEqual(service?.serviceConfig, { LoadCredential: ['key:key', 'db:/run/credstore/DB'] });
  assert.deepEqual(service?.unitConfig, { AssertCredential: ['key'], AssertPathExists: ['/run/credstore/DB'] });
  assert.deepEqual([service?.wants, service?.after], [['slicer-secrets.target'], ['slicer-secrets.target']]);
});

test('it adds to a service that is there', NIX, async () => {
  const host = await nix.host(`[
    (root + "/nix/guest.nix")
    { services.slicer-agent.credentials.my-app.key = { }; }
    { systemd.services.my-app = { after = [ "network.target" ]; serviceConfig = { ExecStart = "/bin/my-app"; LoadCredential = [ "own:/etc/own" ]; }; }; }
  ]`);
  const service = host.services['my-app'];
  assert.deepEqual(new Set(service?.serviceConfig['LoadCredential'] as string[]), new Set(['own:/etc/own', 'key:key']));
  assert.deepEqual([service?.after, service?.serviceConfig['ExecStart']], [['network.target'], '/bin/my-app']);
});

test('a live credential without the agent is refused', NIX, async () => {
  const host = await guestWith('{ credentials.my-app.key.deliver = "live"; }');
  assert.equal(host.faults.length, 1);
  assert.match(host.faults[0] as string, /services\.slicer-agent\.enable/);
});

test('the initramfs has what shows the firmware, where something wants it', NIX, async () => {
  const [wanting, other] = [await guestWith('{ credentials.my-app.key = { }; }'), await guestWith('{ }')];
  assert.deepEqual(wanting.availableKernelModules, ['dmi_sysfs', 'qemu_fw_cfg']);
  assert.deepEqual([other.availableKernelModules, other.services], [[], {}]);
});
