import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RESERVED_CREDENTIALS, type CredentialWish } from '../../src/delivery/credential.ts';
import { bootChannelOf, type VmmChoice } from '../../src/delivery/hypervisor.ts';
import { planDelivery, type DeliveryPlan } from '../../src/delivery/plan.ts';
import { SlicerError, throwIfAny } from '../../src/errors/slicer-error.ts';
import {
  CLOUD_HYPERVISOR, codes, FIRECRACKER, known, messages, MIB, MICROVM, name, planOf, Q35, vm, VMMS, wish,
} from './delivery-fixture.ts';

/** "io.systemd.credential.binary:", "=" and the NUL at the end. */
const FRAME = 31;
/** The boot token, and the port of three digits. */
const OWN = 136 + 51;

test('on q35 each secret goes over the channels that it was asked for, with its form and size', () => {
  const [b, a] = [wish('B', 'b'), wish('A', 'a', { trimNewline: true })];
  const plan = planDelivery(vm([b, a], { grant: [name('c'), name('a'), name('c')] }), known({ a: '12345\n', b: 'xy', c: '', d: 'never' }));
  assert.deepEqual(plan, {
    bootChannel: 'smbios',
    deliveries: [
      { channel: 'boot', form: 'oem-string', secret: 'b', credential: 'B', sizeBytes: 2, tableBytes: FRAME + 1 + 4 },
      { channel: 'boot', form: 'oem-string', secret: 'a', credential: 'A', sizeBytes: 5, tableBytes: FRAME + 1 + 8 },
      { channel: 'live', form: 'file', secret: 'a', sizeBytes: 6 },
      { channel: 'live', form: 'file', secret: 'c', sizeBytes: 0 },
    ],
    bootCredentials: [b, a],
    liveCredentials: [],
    budgets: {
      strings: { used: 4, limit: 255 },
      tableBytes: { used: OWN + 36 + 40, limit: 32_338 },
      credentialBytes: { used: 67 + 7, limit: MIB },
    },
    problems: [],
  });
});

test('microvm has a file for each credential, with its bytes as they are', () => {
  const plan = planDelivery(vm([wish('A', 'a')], { vmm: MICROVM }), known({ a: '12345' }));
  assert.deepEqual([plan.bootChannel, plan.deliveries, plan.budgets, plan.problems], [
    'fw-cfg', [{ channel: 'boot', form: 'fw-cfg', secret: 'a', credential: 'A', sizeBytes: 5 }],
    { files: { used: 3, limit: 255 }, credentialBytes: { used: 72, limit: MIB } }, [],
  ]);
});

test('Cloud Hypervisor has OEM strings on x86_64, in a request', () => {
  const plan = planDelivery(vm([wish('A', 'a')], { vmm: CLOUD_HYPERVISOR }), known({ a: '12345' }));
  assert.deepEqual([plan.bootChannel, plan.deliveries, plan.budgets, plan.problems], [
    'smbios', [{ channel: 'boot', form: 'oem-string', secret: 'a', credential: 'A', sizeBytes: 5, tableBytes: 40 }],
    {
      strings: { used: 3, limit: 255 }, tableBytes: { used: OWN + 40, limit: 65_398 },
      requestBytes: { used: 4096 + OWN + 40 + 3 * 2, limit: 51_200 }, credentialBytes: { used: 72, limit: MIB },
    }, [],
  ]);
});

test('where there is no boot channel a credential goes over the live one, as a file of the credential store', () => {
  for (const [vmm, arch] of [[FIRECRACKER, 'x86_64'], [FIRECRACKER, 'aarch64'], [CLOUD_HYPERVISOR, 'aarch64']] as const) {
    const plan = planDelivery(vm([wish('A', 'a', { trimNewline: true })], { vmm, arch, grant: 'all' }), known({ a: '1\n' }));
    assert.deepEqual(plan, {
      bootChannel: undefined,
      deliveries: [
        { channel: 'live', form: 'credential', secret: 'a', credential: 'A', sizeBytes: 1 },
        { channel: 'live', form: 'file', secret: 'a', sizeBytes: 2 },
      ],
      bootCredentials: [], liveCredentials: [wish('A', 'a', { trimNewline: true })], budgets: {}, problems: [],
    });
  }
});

const HAS_NONE = (title: string, deliver: string) => `credential "A" of host group "web" says "deliver: ${deliver}"; ${title} has no boot channel`;

for (const [title, vmm, arch] of VMMS) {
  test(`${title}, ${arch}: deliver chooses the channel, and boot is refused where there is none`, () => {
    const planned = (deliver: CredentialWish['deliver']) => {
      const plan = planDelivery(vm([wish('A', 'a', { deliver })], { vmm, arch }), known({ a: 'x' }));
      return { channels: plan.deliveries.map(({ channel }) => channel), problems: messages(plan), boot: plan.bootCredentials.length, live: plan.liveCredentials.length };
    };
    const hasBoot = bootChannelOf(vmm, arch) !== undefined;
    assert.deepEqual(planned('live'), { channels: ['live'], problems: [], boot: 0, live: 1 });
    assert.deepEqual(planned(undefined), { channels: [hasBoot ? 'boot' : 'live'], problems: [], boot: Number(hasBoot), live: Number(!hasBoot) });
    if (hasBoot) {
      assert.deepEqual(planned('boot'), { channels: ['boot'], problems: [], boot: 1, live: 0 });
      assert.deepEqual(planned('both'), { channels: ['boot', 'live'], problems: [], boot: 1, live: 1 });
    } else {
      assert.deepEqual(planned('boot').problems, [HAS_NONE(title, 'boot')]);
      assert.deepEqual(planned('both').problems, [HAS_NONE(title, 'both')]);
    }
  });

  test(`${title}, ${arch}: every reserved name is refused unless it is meant, and so is every own name`, () => {
    for (const pattern of RESERVED_CREDENTIALS) {
      const reserved = pattern.replace('*', 'x');
      const planned = (choices: Partial<CredentialWish>) => messages(planDelivery(vm([wish(reserved, 'a', choices)], { vmm, arch }), known({ a: 'x' })));
      for (const deliver of [undefined, 'live'] as const) {
        assert.deepEqual(planned({ deliver }), [`credential "${reserved}" is one of ${pattern}, which systemd acts on by itself: who sends it is root in the guest`]);
        assert.deepEqual(planned({ deliver, allowReserved: true }), []);
      }
    }
    assert.deepEqual(messages(planOf(vmm, [['slicer.boot-token', 1], ['slicer.host-port', 1]], { arch })), [
      'credential "slicer.boot-token" is Slicer\'s own', 'credential "slicer.host-port" is Slicer\'s own',
    ]);
  });
}

test('what Slicer sends itself can be more, is in every budget, and its names are taken', () => {
  const own = [{ name: 'slicer.boot-token', sizeBytes: 64 }, { name: 'vmm.notify_socket', sizeBytes: 19 }];
  const plan = planDelivery(vm([wish('vmm.notify_socket', 'a', { allowReserved: true })], { own }), known({ a: 'x' }));
  assert.deepEqual(messages(plan), ['credential "vmm.notify_socket" is Slicer\'s own']);
  assert.deepEqual([plan.budgets.strings?.used, plan.budgets.credentialBytes?.used], [3, 64 + 19 + 1]);
});

test('a grant of all is every secret over the live channel, and none over the boot channel', () => {
  const { deliveries, problems } = planDelivery(vm([], { grant: 'all' }), known({ b: 'x', a: 'y' }));
  assert.deepEqual(deliveries.map(({ channel, secret }) => [channel, secret]), [['live', 'a'], ['live', 'b']]);
  assert.deepEqual(problems, []);
});

test('an empty value is refused unless it is said to be meant, also when the newline was all there was', () => {
  for (const [, vmm, arch] of VMMS) {
    const planned = (value: string, choices: Partial<CredentialWish>): string[] =>
      messages(planDelivery(vm([wish('A', 'a', choices)], { vmm, arch }), known({ a: value })));
    assert.deepEqual(planned('', {}), ['secret "a" is empty, and credential "A" of host group "web" is not said to be so']);
    assert.deepEqual(planned('\n', { trimNewline: true }), ['secret "a" is empty without its newline, and credential "A" of host group "web" is not said to be so']);
    assert.deepEqual([planned('', { allowEmpty: true }), planned('\n', { trimNewline: true, allowEmpty: true }), planned('\n', {})], [[], [], []]);
  }
});

test('a source that is missing is told once, on whichever channels it was to go', () => {
  for (const [, vmm, arch] of VMMS) {
    for (const deliver of [undefined, 'live'] as const) {
      const plan = planDelivery(vm([wish('A', 'gone', { deliver })], { vmm, arch }), known({}));
      assert.deepEqual(plan.problems, [{
        code: 'secret_not_found', message: 'there is no secret "gone", which credential "A" of host group "web" is made of', hint: 'slicer secret create gone',
      }]);
      assert.equal(plan.deliveries[0]?.sizeBytes, undefined);
    }
  }
});

test('every problem is told at once, without a value', () => {
  const canary = 'canary-of-the-value';
  const wishes = [
    wish('mistyped-value/x', 'big'), wish('passwd.x', 'a'), wish('A', 'absent'), wish('A', 'empty'), wish('slicer.boot-token', 'a'),
  ];
  const planned = (vmm: VmmChoice): DeliveryPlan => planDelivery(
    vm(wishes, { vmm, grant: [name('gone')], oemStrings: [`io.systemd.credential:A=${canary}`] }),
    known({ a: canary, big: canary.repeat(60_000), empty: '' }),
  );
  assert.deepEqual(codes(planned(CLOUD_HYPERVISOR)), [
    'secret_not_found', 'invalid_name', 'invalid_name', 'invalid_request', 'invalid_name', 'value_too_large', 'secret_not_found', 'empty_value',
    'invalid_request', 'value_too_large', 'value_too_large', 'value_too_large',
  ]);
  assert.deepEqual(codes(planned(MICROVM)), [
    'secret_not_found', 'invalid_name', 'invalid_name', 'invalid_request', 'invalid_name', 'value_too_large', 'secret_not_found', 'empty_value',
    'invalid_request', 'value_too_large',
  ]);
  for (const plan of [planned(CLOUD_HYPERVISOR), planned(MICROVM)]) {
    assert.throws(() => throwIfAny(plan.problems), (error) => error instanceof SlicerError && !`${error.stack}${JSON.stringify(error)}`.includes('mistyped'));
    const { bootCredentials, ...shown } = plan;
    for (const form of [canary, Buffer.from(canary).toString('base64'), Buffer.from(canary).toString('hex')]) assert.ok(!JSON.stringify(shown).includes(form));
    assert.equal(bootCredentials.length, wishes.length);
  }
});

test('the boot channel of each VMM is the one that its drivers use', () => {
  assert.deepEqual(VMMS.map(([, vmm, arch]) => bootChannelOf(vmm, arch)), ['smbios', 'fw-cfg', 'smbios', undefined, undefined, undefined]);
  assert.equal(bootChannelOf(Q35, 'x86_64'), 'smbios');
});
