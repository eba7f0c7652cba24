// Every limit, one below it, at it and one above, for each VMM that has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeBootItems } from '../../src/delivery/boot-items.ts';
import { bootChannelOf, vmmTitle } from '../../src/delivery/hypervisor.ts';
import { OWN_CREDENTIALS, planDelivery, type DeliveryPlan } from '../../src/delivery/plan.ts';
import { Secret } from '../../src/secret/secret.ts';
import { CLOUD_HYPERVISOR, FIRECRACKER, known, messages, MIB, MICROVM, planOf, Q35, vm, VMMS, wish } from './delivery-fixture.ts';

/** "io.systemd.credential.binary:", "=" and the NUL at the end. */
const FRAME = 31;
/** The boot token, and the port of three digits. */
const OWN = 136 + 51;
const Q35_TABLE = 32_338;

/** The messages about `pattern` one below, at and one above. */
const around = (planned: (step: number) => DeliveryPlan, pattern: RegExp): string[][] =>
  [-1, 0, 1].map((step) => messages(planned(step)).filter((message) => pattern.test(message)));

test("q35's table is filled to its last byte and not one further", () => {
  // 24,000 bytes are 32,000 in base64; the name makes up the rest.
  const room = Q35_TABLE - OWN - FRAME - 32_000;
  const planned = (step: number) => planOf(Q35, [['n'.repeat(room + step), 24_000]]);
  assert.equal(room, 120);
  assert.deepEqual([-1, 0].map((step) => [messages(planned(step)), planned(step).budgets.tableBytes]), [
    [[], { used: Q35_TABLE - 1, limit: Q35_TABLE }], [[], { used: Q35_TABLE, limit: Q35_TABLE }],
  ]);
  assert.deepEqual(planned(1).problems, [{
    code: 'value_too_large',
    message: `secret "s0" is 32152 bytes as an OEM string for credential "${'n'.repeat(121)}"; the table of host group "web" has 32338, 187 used`,
    hint: 'deliver this one over the live channel: deliver: live, or as a file: --secret=s0',
  }]);
});

test("q35 has less room with more memory", () => {
  const limit = (ramMib: number) => planOf(Q35, [], { ramBytes: ramMib * MIB }).budgets.tableBytes?.limit;
  assert.deepEqual([limit(2815), limit(2816), limit(16 * 1024), limit(16 * 1024 + 1)], [Q35_TABLE, Q35_TABLE - 33, Q35_TABLE - 33, Q35_TABLE - 33 - 53]);
});

test("q35 has twice the room with a kernel whose initramfs lies low, from 192 MiB of memory on", () => {
  const limit = (ramMib: number) => planOf(Q35, [], { ramBytes: ramMib * MIB, hasLowInitrdKernel: true }).budgets.tableBytes?.limit;
  assert.deepEqual([limit(191), limit(192), limit(2816)], [Q35_TABLE, 65_105, 65_105 - 33]);
  const room = 65_105 - OWN - FRAME - 64_800;
  const planned = (step: number) => planOf(Q35, [['n'.repeat(room + step), 48_600]], { hasLowInitrdKernel: true });
  assert.deepEqual(around(planned, /./), [[], [], [
    `secret "s0" is 64919 bytes as an OEM string for credential "${'n'.repeat(88)}"; the table of host group "web" has 65105, 187 used`,
  ]]);
  for (const vmm of [CLOUD_HYPERVISOR, MICROVM]) {
    assert.deepEqual(planOf(vmm, [], { hasLowInitrdKernel: true }).budgets, planOf(vmm, []).budgets);
  }
});

test("Cloud Hypervisor's table is 65,398 bytes whatever the memory is, each string with its NUL", () => {
  // 48,750 bytes are 65,000 in base64.
  const room = 65_398 - OWN - FRAME - 65_000;
  const planned = (step: number, ramMib = 192) => planOf(CLOUD_HYPERVISOR, [['n'.repeat(room + step), 48_750]], { ramBytes: ramMib * MIB });
  assert.deepEqual([planned(0).budgets.tableBytes, planned(0, 64 * 1024).budgets.tableBytes], [{ used: 65_398, limit: 65_398 }, { used: 65_398, limit: 65_398 }]);
  assert.deepEqual(around(planned, /the table/), [[], [], [
    `secret "s0" is ${65_398 - OWN + 1} bytes as an OEM string for credential "${'n'.repeat(181)}"; the table of host group "web" has 65398, 187 used`,
  ]]);
});

test("a request to Cloud Hypervisor is 51,200 bytes, with what is kept for the rest of it", () => {
  // As JSON each string has two quotes and a comma more than its text, so two more than in the table.
  const room = 51_200 - 4096 - (OWN + 4) - (FRAME + 2) - 46_760;
  const planned = (step: number) => planOf(CLOUD_HYPERVISOR, [['n'.repeat(room + step), 35_070]]);
  assert.equal(room, 120);
  assert.deepEqual([-1, 0, 1].map((step) => planned(step).budgets.requestBytes), [51_199, 51_200, 51_201].map((used) => ({ used, limit: 51_200 })));
  assert.deepEqual(around(planned, /./), [[], [], [
    `secret "s0" is ${46_760 + FRAME + 2 + 121} bytes as an OEM string in JSON for credential "${'n'.repeat(121)}"; `
      + 'a request to Cloud Hypervisor has 51200, 4287 used for host group "web"',
  ]]);
});

test('a name that JSON escapes takes as much more of the request, and not of the table', () => {
  const [plain, quoted] = ['abcd', 'a"\\d'].map((credential) => planOf(CLOUD_HYPERVISOR, [[credential, 30]]).budgets);
  assert.equal((quoted?.requestBytes?.used ?? 0) - (plain?.requestBytes?.used ?? 0), 2);
  assert.equal(quoted?.tableBytes?.used, plain?.tableBytes?.used);
});

for (const vmm of [Q35, CLOUD_HYPERVISOR]) {
  test(`${vmmTitle(vmm)} has 255 OEM strings: two of them Slicer's own, static ones among them`, () => {
    const planned = (count: number, oemStrings: readonly string[] = []) =>
      planOf(vmm, Array.from({ length: count }, (_, index) => [`n${index}`, 1]), { oemStrings });
    assert.deepEqual([252, 253].map((count) => [messages(planned(count)), planned(count).budgets.strings]), [
      [[], { used: 254, limit: 255 }], [[], { used: 255, limit: 255 }],
    ]);
    assert.deepEqual(planned(254).problems, [{
      code: 'value_too_large',
      message: 'host group "web" has 254 credentials, with Slicer\'s own 2 that makes 256 OEM strings; a table has 255',
      hint: 'deliver this one over the live channel: deliver: live, or as a file: --secret=s253',
    }]);
    assert.equal(planned(261).problems[0]?.hint, 'deliver these 8 over the live channel: deliver: live, or as a file: --secret=s253,s254,s255,s256,s257,...');
    assert.deepEqual(messages(planned(252, ['a'])), []);
    assert.deepEqual(planned(252, ['a', 'b']).problems, [{
      code: 'value_too_large',
      message: 'host group "web" has 252 credentials and 2 static strings, with Slicer\'s own 2 that makes 256 OEM strings; a table has 255',
      hint: 'leave static strings out, or credentials before them',
    }]);
  });
}

test("QEMU's microvm has 255 files: two of them Slicer's own", () => {
  const planned = (count: number) => planOf(MICROVM, Array.from({ length: count }, (_, index) => [`n${index}`, 1]));
  assert.deepEqual([252, 253].map((count) => [messages(planned(count)), planned(count).budgets.files]), [
    [[], { used: 254, limit: 255 }], [[], { used: 255, limit: 255 }],
  ]);
  assert.deepEqual(messages(planned(254)), ['host group "web" has 254 credentials, with Slicer\'s own 2 that makes 256 files; fw_cfg has 255']);
});

test('a name in fw_cfg has 55 characters, of which 28 are the credential\'s; elsewhere it has 255', () => {
  for (const [title, vmm, arch] of VMMS) {
    const limit = title === 'QEMU microvm' ? 28 : 255;
    const [below, at, past] = [limit - 1, limit, limit + 1].map((length) => planOf(vmm, [['n'.repeat(length), 1]], { arch }).problems);
    assert.deepEqual([below, at, past?.map(({ code }) => code)], [[], [], ['invalid_name']], title);
  }
  assert.equal('opt/io.systemd.credentials/'.length + 28, 55);
  assert.deepEqual(planOf(MICROVM, [['n'.repeat(29), 1]]).problems, [{
    code: 'invalid_name',
    message: `credential "${'n'.repeat(29)}" of host group "web" has a name of 29 characters; fw_cfg of QEMU microvm takes 28 after "opt/io.systemd.credentials/"`,
    hint: 'choose a shorter name, or deliver this one over the live channel: deliver: live, or as a file: --secret=s0',
  }]);
  const live = planDelivery(vm([wish('n'.repeat(29), 'a', { deliver: 'live' })], { vmm: MICROVM }), known({ a: 1 }));
  assert.deepEqual(live.problems, []);
});

test("systemd's limit for one credential is told of every VMM, on whichever channel", () => {
  for (const [title, vmm, arch] of VMMS) {
    const planned = (step: number) => planOf(vmm, [['A', MIB + step]], { arch });
    assert.deepEqual(around(planned, /as credential/), [[], [], [
      'secret "s0" is 1048577 bytes as credential "A" of host group "web"; systemd takes 1048576',
    ]], title);
  }
});

test("systemd's limit for all credentials is told where they pass it at boot, with Slicer's own", () => {
  for (const vmm of [Q35, MICROVM, CLOUD_HYPERVISOR]) {
    const planned = (step: number) => planOf(vmm, [['A', MIB / 2], ['B', MIB / 2 - 67 + step]]);
    assert.deepEqual(around(planned, /together/), [[], [], [
      "the credentials of host group \"web\" are 1048577 bytes together, with Slicer's own; systemd takes 1048576",
    ]]);
  }
  // Of those that it loads over the live channel, each service has its own sum.
  assert.deepEqual(messages(planOf(FIRECRACKER, [['A', MIB], ['B', MIB]])), []);
});

test('microvm carries what systemd takes, with no limit of its own for the bytes', () => {
  assert.deepEqual(messages(planOf(MICROVM, [['A', MIB - 67]])), []);
});

test('what finds no room is named alone: what is smaller after it still fits', () => {
  assert.deepEqual(messages(planOf(Q35, [['A', 15_000], ['B', 15_000], ['C', 1000]])), [
    'secret "s1" is 20032 bytes as an OEM string for credential "B"; the table of host group "web" has 32338, 20219 used',
  ]);
});

test('a static string that finds no room is told by its number, never by what it says', () => {
  const plan = planDelivery(vm([wish('A', 'a')], { oemStrings: ['x', 'canary'.repeat(6000)] }), known({ a: 1 }));
  assert.deepEqual(plan.problems, [{
    code: 'value_too_large',
    message: 'static string 2 is 36001 bytes as an OEM string; the table of host group "web" has 32338, 225 used',
    hint: 'leave static strings out, or credentials before them',
  }]);
});

const sizes = fc.uniqueArray(
  fc.record({ key: fc.stringMatching(/^[a-z"\\ ]{1,12}$/), size: fc.nat(20_000) }), { selector: ({ key }) => key, maxLength: 5 },
);
const texts = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((text) => !text.includes('\0')), { maxLength: 3 });

for (const vmm of [Q35, CLOUD_HYPERVISOR, MICROVM]) {
  test(`for ${vmmTitle(vmm)} a plan without problems is one whose items are in the budgets that it names`, () => {
    fc.assert(fc.property(sizes, vmm === MICROVM ? fc.constant([]) : texts, (entries, oemStrings) => {
      const secrets = known(Object.fromEntries(entries.map(({ size }, index) => [`s${index}`, size])));
      const plan = planDelivery(vm(entries.map(({ key }, index) => wish(key, `s${index}`, { allowEmpty: true })), { vmm, oemStrings }), secrets);
      const credentials = [
        ...OWN_CREDENTIALS.map(({ name, sizeBytes }) => ({ name, value: new Secret(new Uint8Array(sizeBytes)) })),
        ...entries.map(({ key, size }) => ({ name: key, value: new Secret(new Uint8Array(size)) })),
      ];
      const items = encodeBootItems(bootChannelOf(vmm, 'x86_64'), credentials, oemStrings);
      const strings = items.map(({ value }) => Buffer.from(value.reveal()).toString());
      const { tableBytes, requestBytes, strings: count, files, credentialBytes } = plan.budgets;
      assert.equal((count ?? files)?.used, items.length);
      assert.equal(credentialBytes?.used, credentials.reduce((sum, { value }) => sum + value.sizeBytes, 0));
      if (tableBytes !== undefined) assert.equal(tableBytes.used, strings.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0));
      // `[` and `]` take what the last string's comma does not.
      if (requestBytes !== undefined) assert.equal(requestBytes.used, 4096 + Buffer.byteLength(JSON.stringify(strings)) - 1);
      const fits = [tableBytes, requestBytes].every((budget) => budget === undefined || budget.used <= budget.limit);
      assert.equal(plan.problems.length === 0, fits);
    }));
  });
}
