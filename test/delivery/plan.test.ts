import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CredentialWish } from '../../src/delivery/credential.ts';
import { encodeOemStrings } from '../../src/delivery/oem-strings.ts';
import { planDelivery, type DeliveryPlan, type DeliveryVm, type KnownSecrets } from '../../src/delivery/plan.ts';
import { SlicerError, throwIfAny } from '../../src/errors/slicer-error.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';

const MIB = 1024 * 1024;
const name = (text: string): SecretName => text as SecretName;
const wish = (credential: string, secret: string, choices: Partial<CredentialWish> = {}): CredentialWish => ({
  name: credential, secret: name(secret), trimNewline: false, allowEmpty: false, allowReserved: false, ...choices,
});
const known = (values: Readonly<Record<string, number | string>>): KnownSecrets =>
  new Map(Object.entries(values).map(([secret, value]) => [
    name(secret), { value: new Secret(typeof value === 'number' ? new Uint8Array(value) : Buffer.from(value)) },
  ]));
const vm = (credentials: readonly CredentialWish[], change: Partial<DeliveryVm> = {}): DeliveryVm =>
  ({ label: 'host group "web"', ramBytes: 192 * MIB, grant: [], credentials, ...change });
const messages = ({ problems }: DeliveryPlan): string[] => problems.map(({ message }) => message);
const codes = ({ problems }: DeliveryPlan): string[] => problems.map(({ code }) => code);

/** What 192 MiB leave, and what the boot token takes of it. */
const TABLE = 32_338;
const TOKEN = 136;
/** "io.systemd.credential.binary:", "=" and the NUL at the end. */
const FRAME = 31;

test('each secret goes over the channels that it was asked for, with its form and size', () => {
  const plan = planDelivery(
    vm([wish('B', 'b'), wish('A', 'a', { trimNewline: true })], { grant: [name('c'), name('a'), name('c')] }),
    known({ a: '12345\n', b: 'xy', c: '', d: 'never' }),
  );
  assert.deepEqual(plan, {
    deliveries: [
      { channel: 'boot', form: 'oem-string', secret: 'b', credential: 'B', sizeBytes: 2, tableBytes: FRAME + 1 + 4 },
      { channel: 'boot', form: 'oem-string', secret: 'a', credential: 'A', sizeBytes: 5, tableBytes: FRAME + 1 + 8 },
      { channel: 'live', form: 'file', secret: 'a', sizeBytes: 6 },
      { channel: 'live', form: 'file', secret: 'c', sizeBytes: 0 },
    ],
    budgets: {
      strings: { used: 3, limit: 255 },
      tableBytes: { used: TOKEN + 36 + 40, limit: TABLE },
      credentialBytes: { used: 64 + 7, limit: MIB },
    },
    problems: [],
  });
});

test('a grant of all is every secret over the live channel, and none over the boot channel', () => {
  const { deliveries, problems } = planDelivery(vm([], { grant: 'all' }), known({ b: 'x', a: 'y' }));
  assert.deepEqual(deliveries.map(({ channel, secret }) => [channel, secret]), [['live', 'a'], ['live', 'b']]);
  assert.deepEqual(problems, []);
});

test('the table is filled to its last byte and not one further', () => {
  // 24,000 bytes are 32,000 in base64; the name makes up the rest.
  const room = TABLE - TOKEN - FRAME - 32_000;
  const planned = (length: number): DeliveryPlan => planDelivery(vm([wish('n'.repeat(length), 'big')]), known({ big: 24_000 }));
  assert.deepEqual([room, messages(planned(room - 1)), planned(room - 1).budgets.tableBytes.used], [171, [], TABLE - 1]);
  assert.deepEqual([messages(planned(room)), planned(room).budgets.tableBytes.used], [[], TABLE]);
  const above = planned(room + 1);
  assert.deepEqual(above.problems, [{
    code: 'value_too_large',
    message: `secret "big" is 32203 bytes as an OEM string for credential "${'n'.repeat(172)}"; the table of host group "web" has 32338, 136 used`,
    hint: 'deliver this one over the live channel: --secret=big',
  }]);
});

test('what finds no room is named alone: what is smaller after it still fits', () => {
  const plan = planDelivery(vm([wish('A', 'a'), wish('B', 'b'), wish('C', 'c')]), known({ a: 15_000, b: 15_000, c: 1000 }));
  assert.deepEqual(messages(plan), [
    'secret "b" is 20032 bytes as an OEM string for credential "B"; the table of host group "web" has 32338, 20168 used',
  ]);
});

test('a VM with more memory has less room', () => {
  const limit = (ramMib: number): number => planDelivery(vm([], { ramBytes: ramMib * MIB }), known({})).budgets.tableBytes.limit;
  assert.deepEqual([limit(2815), limit(2816), limit(16 * 1024), limit(16 * 1024 + 1)], [TABLE, TABLE - 33, TABLE - 33, TABLE - 33 - 53]);
});

test('254 credentials fit beside the boot token and 255 do not', () => {
  const planned = (count: number): DeliveryPlan =>
    planDelivery(vm(Array.from({ length: count }, (_, index) => wish(`n${index}`, `s${index % 250}`))), known(Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`s${index}`, 'v']))));
  assert.deepEqual([messages(planned(253)), planned(253).budgets.strings.used], [[], 254]);
  assert.deepEqual([messages(planned(254)), planned(254).budgets.strings.used], [[], 255]);
  assert.deepEqual(planned(255).problems, [{
    code: 'value_too_large',
    message: 'host group "web" has 255 credentials, with the boot token 256 OEM strings; a table has 255',
    hint: 'deliver this one over the live channel: --secret=s4',
  }]);
  assert.equal(planned(262).problems[0]?.hint, 'deliver these 8 over the live channel: --secret=s4,s5,s6,s7,s8,...');
});

test("systemd's limit for one credential is told where a value passes it", () => {
  const [at, above] = [MIB, MIB + 1].map((size) => messages(planDelivery(vm([wish('A', 'a')]), known({ a: size }))));
  const limit = 'secret "a" is 1048577 bytes as credential "A" of host group "web"; systemd takes 1048576';
  assert.ok(!at?.includes(limit.replace('577 bytes', '576 bytes')));
  assert.ok(above?.includes(limit));
});

test("systemd's limit for all credentials is told where they pass it, with the boot token", () => {
  const total = (sizeBytes: number): string[] => messages(planDelivery(vm([wish('A', 'a'), wish('B', 'b')]), known({ a: MIB / 2, b: sizeBytes })))
    .filter((message) => message.includes('together'));
  assert.deepEqual(total(MIB / 2 - 65), []);
  assert.deepEqual(total(MIB / 2 - 64), []);
  assert.deepEqual(total(MIB / 2 - 63), [
    'the credentials of host group "web" are 1048577 bytes together, with the boot token; systemd takes 1048576',
  ]);
});

test('an empty value is refused unless it is said to be meant, also when the newline was all there was', () => {
  const planned = (value: string, choices: Partial<CredentialWish>): string[] => messages(planDelivery(vm([wish('A', 'a', choices)]), known({ a: value })));
  assert.deepEqual(planned('', {}), ['secret "a" is empty, and credential "A" of host group "web" is not said to be so']);
  assert.deepEqual(planned('\n', { trimNewline: true }), ['secret "a" is empty without its newline, and credential "A" of host group "web" is not said to be so']);
  assert.deepEqual([planned('', { allowEmpty: true }), planned('\n', { trimNewline: true, allowEmpty: true }), planned('\n', {})], [[], [], []]);
});

test('every problem is told at once, without a value', () => {
  const canary = 'canary-of-the-value';
  const plan = planDelivery(vm([
    wish('mistyped-value/x', 'big'), wish('passwd.x', 'a'), wish('A', 'absent'), wish('A', 'empty'), wish('slicer.boot-token', 'a'),
  ], { grant: [name('gone')] }), known({ a: canary, big: canary.repeat(60_000), empty: '' }));
  assert.deepEqual(codes(plan), [
    'secret_not_found', 'invalid_name', 'invalid_name', 'invalid_request', 'invalid_name', 'value_too_large', 'secret_not_found', 'empty_value',
    'value_too_large', 'value_too_large',
  ]);
  assert.throws(() => throwIfAny(plan.problems), (error) => error instanceof SlicerError && !`${error.stack}${JSON.stringify(error)}`.includes('mistyped'));
  for (const form of [canary, Buffer.from(canary).toString('base64'), Buffer.from(canary).toString('hex')]) assert.ok(!JSON.stringify(plan).includes(form));
});

test('a plan without problems is one whose strings are in the budget that it names', () => {
  const values = fc.uniqueArray(fc.record({ name: fc.stringMatching(/^[a-z]{1,12}$/), size: fc.nat(20_000) }), { selector: ({ name: key }) => key, maxLength: 5 });
  fc.assert(fc.property(values, (entries) => {
    const secrets = known(Object.fromEntries(entries.map(({ name: key, size }) => [key, size])));
    const plan = planDelivery(vm(entries.map(({ name: key }) => wish(key.toUpperCase(), key, { allowEmpty: true }))), secrets);
    const strings = encodeOemStrings(entries.map(({ name: key, size }) => ({ name: key.toUpperCase(), value: new Secret(new Uint8Array(size)) })));
    const bytes = strings.reduce((sum, string) => sum + string.sizeBytes + 1, TOKEN);
    assert.equal(plan.budgets.tableBytes.used, bytes);
    assert.equal(plan.problems.length === 0, bytes <= TABLE);
  }));
});
