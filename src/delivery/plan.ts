// Decides for each secret of a VM which channel carries it and in which form, or refuses, with every
// problem at once. Pure, and the one place that decides: a launch, `slicer check` and `slicer explain`
// ask the same function, so that they say the same. Plans hold names and sizes, never a value.
import type { Problem } from '../errors/slicer-error.ts';
import type { Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import { bootRoomOf, credentialCost, staticStringCost, type BootRoom } from './boot-room.ts';
import { budgetsOf, type BootItemSize, type Budgets } from './budgets.ts';
import { channelProblems, nameLengthProblems, sourceProblems, type SizedWish } from './credential-problems.ts';
import { BOOT_TOKEN_CREDENTIAL, credentialNameProblems, HOST_PORT_CREDENTIAL, type CredentialWish } from './credential.ts';
import { bootChannelOf, type BootChannel, type GuestArch, type VmmChoice } from './hypervisor.ts';
import { credentialValue } from './oem-strings.ts';
import { roomProblems } from './room-problems.ts';
import { staticStringProblems } from './static-strings.ts';

/** A credential that Slicer itself sends; its value is made at the launch, its size is known before. */
export interface OwnCredential {
  readonly name: string;
  readonly sizeBytes: number;
}

/** What every VM with a boot channel is sent, before all else: 64 hexadecimal digits, and a port of three. */
export const OWN_CREDENTIALS: readonly OwnCredential[] = [
  { name: BOOT_TOKEN_CREDENTIAL, sizeBytes: 64 },
  { name: HOST_PORT_CREDENTIAL, sizeBytes: 3 },
];

export interface DeliveryVm {
  /** How messages call it: `host group "web"`. */
  readonly label: string;
  readonly vmm: VmmChoice;
  readonly arch: GuestArch;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  /** What it may ask for over the live channel. */
  readonly grant: Grant;
  /** What it is given as systemd credentials, granted live or not. */
  readonly credentials: readonly CredentialWish[];
  /** Whether there is a kernel for it whose initramfs lies low, which gives q35's tables more room (smbios-table.ts). */
  readonly hasLowInitrdKernel?: boolean;
  /** OEM strings that are no credentials, as they stand. */
  readonly oemStrings: readonly string[];
  /** Whether its secrets are files of the caller's, so that no command on a store is a hint for it. */
  readonly hasFilesForSecrets?: boolean;
  /** `OWN_CREDENTIALS` when absent. */
  readonly own?: readonly OwnCredential[];
}

export type KnownSecrets = ReadonlyMap<SecretName, { readonly value: Secret }>;

export interface BootDelivery {
  readonly channel: 'boot';
  readonly form: BootRoom['form'];
  readonly secret: SecretName;
  readonly credential: string;
  /** What the guest gets; undefined where there is no such secret. */
  readonly sizeBytes: number | undefined;
  /** What it takes of the table, its closing NUL included; absent where there is no table, or no such secret. */
  readonly tableBytes?: number;
}

/** A credential as a file of /run/credstore, where systemd looks after what came at boot. */
export interface LiveCredential {
  readonly channel: 'live';
  readonly form: 'credential';
  readonly secret: SecretName;
  readonly credential: string;
  readonly sizeBytes: number | undefined;
}

/** A file of /run/slicer/secrets. */
export interface LiveFile {
  readonly channel: 'live';
  readonly form: 'file';
  readonly secret: SecretName;
  readonly sizeBytes: number | undefined;
}

export type Delivery = BootDelivery | LiveCredential | LiveFile;

export interface DeliveryPlan {
  /** Undefined where the VM has none. */
  readonly bootChannel: BootChannel | undefined;
  /** The boot channel first, then credentials over the live channel, both as asked for; then live files by name. */
  readonly deliveries: readonly Delivery[];
  /** Those that the firmware carries, in the order asked for. */
  readonly bootCredentials: readonly CredentialWish[];
  /** Those that the live channel carries. */
  readonly liveCredentials: readonly CredentialWish[];
  readonly budgets: Budgets;
  /** Why this can't be launched; none when it can. A source that is missing has the code secret_not_found. */
  readonly problems: readonly Problem[];
}

export function planDelivery(vm: DeliveryVm, secrets: KnownSecrets): DeliveryPlan {
  const { label, vmm, own = OWN_CREDENTIALS } = vm;
  const room = bootRoomOf(vm);
  const otherwise = room === undefined ? 'live' : 'boot';
  const sized = vm.credentials.map((wish): SizedWish => ({ wish, sizeBytes: sizeOf(wish, secrets) }));
  const asked = sized.filter(({ wish: { deliver = otherwise } }) => deliver !== 'live');
  const boot = room === undefined ? [] : asked;
  const live = sized.filter(({ wish: { deliver = otherwise } }) => deliver !== 'boot');
  const items = itemSizes(own, boot, vm.oemStrings);
  return {
    bootChannel: bootChannelOf(vmm, vm.arch),
    deliveries: [
      ...(room === undefined ? [] : boot.map((wish) => bootDelivery(room, wish))),
      ...live.map(({ wish: { secret, name }, sizeBytes }): Delivery => ({ channel: 'live', form: 'credential', secret, credential: name, sizeBytes })),
      ...liveFiles(vm.grant, secrets),
    ],
    bootCredentials: boot.map(({ wish }) => wish),
    liveCredentials: live.map(({ wish }) => wish),
    budgets: room === undefined ? {} : budgetsOf(room, items),
    problems: [
      ...missingSecrets(vm.grant, secrets),
      ...credentialNameProblems(vm.credentials, own.map(({ name }) => name)).map(({ index, ...problem }): Problem => problem),
      ...(room === undefined ? channelProblems(vm, asked) : nameLengthProblems(vm, boot, room)),
      ...sized.flatMap((wish) => sourceProblems(vm, wish)),
      ...staticStringProblems(label, vmm, room?.form === 'oem-string', vm.oemStrings, [...own, ...vm.credentials].map(({ name }) => name)),
      ...(room === undefined ? [] : roomProblems(vm, room, items)),
    ],
  };
}

/** One problem for each granted name that is not there: who names a secret means one that is. */
export function missingSecrets(grant: Grant, secrets: ReadonlyMap<SecretName, unknown>): Problem[] {
  if (grant === 'all') return [];
  return [...new Set(grant)].filter((name) => !secrets.has(name)).map((name) => ({
    code: 'secret_not_found', message: `there is no secret "${name}"`, hint: 'slicer secret list',
  }));
}

function sizeOf(wish: CredentialWish, secrets: KnownSecrets): number | undefined {
  const source = secrets.get(wish.secret);
  return source === undefined ? undefined : credentialValue(wish, source.value).sizeBytes;
}

/** In the order in which they are sent. A source that is missing takes no bytes. */
function itemSizes(own: readonly OwnCredential[], boot: readonly SizedWish[], staticStrings: readonly string[]): BootItemSize[] {
  const nothing = { tableBytes: 0, requestBytes: 0 };
  return [
    ...own.map(({ name, sizeBytes }): BootItemSize => ({ kind: 'own', sizeBytes, ...credentialCost(name, sizeBytes) })),
    ...boot.map(({ wish, sizeBytes }): BootItemSize => ({
      kind: 'credential', wish, sizeBytes: sizeBytes ?? 0, ...(sizeBytes === undefined ? nothing : credentialCost(wish.name, sizeBytes)),
    })),
    ...staticStrings.map((text): BootItemSize => ({ kind: 'static', sizeBytes: 0, ...staticStringCost(text) })),
  ];
}

function bootDelivery({ form }: BootRoom, { wish: { secret, name }, sizeBytes }: SizedWish): BootDelivery {
  const table = form === 'oem-string' && sizeBytes !== undefined ? { tableBytes: credentialCost(name, sizeBytes).tableBytes } : {};
  return { channel: 'boot', form, secret, credential: name, sizeBytes, ...table };
}

function liveFiles(grant: Grant, secrets: KnownSecrets): Delivery[] {
  const names = grant === 'all' ? [...secrets.keys()] : [...new Set(grant)];
  return names.sort().map((secret) => ({ channel: 'live', form: 'file', secret, sizeBytes: secrets.get(secret)?.value.sizeBytes }));
}
