// Decides for each secret of a VM which channel carries it and in which form, or refuses, with every
// problem at once. Pure, and the one place that decides: a launch, `slicer check` and `slicer explain`
// ask the same function, so that they say the same. Plans hold names and sizes, never a value.
import type { Problem } from '../errors/slicer-error.ts';
import type { Grant } from '../secret/grant.ts';
import type { SecretName } from '../secret/name.ts';
import { SECRET_MAX_BYTES, type Secret } from '../secret/secret.ts';
import { BOOT_TOKEN_CREDENTIAL, credentialNameProblems, isCredentialName, type CredentialWish } from './credential.ts';
import { credentialValue, oemStringBytes } from './oem-strings.ts';
import { oemStringsMaxBytes, STRINGS_MAX } from './smbios-table.ts';

/** A VM on QEMU's q35: its boot channel is SMBIOS type 11, its live channel VSOCK. */
export interface DeliveryVm {
  /** How messages call it: `host group "web"`. */
  readonly label: string;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  /** What it may ask for over the live channel. */
  readonly grant: Grant;
  /** What it is given over the boot channel, granted live or not. */
  readonly credentials: readonly CredentialWish[];
}

export type KnownSecrets = ReadonlyMap<SecretName, { readonly value: Secret }>;

export interface BootDelivery {
  readonly channel: 'boot';
  readonly form: 'oem-string';
  readonly secret: SecretName;
  readonly credential: string;
  /** What the guest gets; undefined where there is no such secret. */
  readonly sizeBytes: number | undefined;
  /** What it takes of the table, its closing NUL included. */
  readonly tableBytes: number | undefined;
}

export interface LiveDelivery {
  readonly channel: 'live';
  readonly form: 'file';
  readonly secret: SecretName;
  readonly sizeBytes: number | undefined;
}

export type Delivery = BootDelivery | LiveDelivery;

export interface Budget {
  readonly used: number;
  readonly limit: number;
}

export interface DeliveryPlan {
  /** The boot channel first, in the order asked for; then the live channel, by name. */
  readonly deliveries: readonly Delivery[];
  /** The boot token is in each. */
  readonly budgets: {
    readonly strings: Budget;
    readonly tableBytes: Budget;
    /** systemd's, for all credentials of a system together. */
    readonly credentialBytes: Budget;
  };
  /** Why this can't be launched; none when it can. A source that is missing has the code secret_not_found. */
  readonly problems: readonly Problem[];
}

/** systemd: CREDENTIALS_TOTAL_SIZE_MAX, and the same for one credential. */
const CREDENTIALS_MAX_BYTES = 1024 * 1024;

/** 64 hexadecimal digits. */
export const BOOT_TOKEN_BYTES = 64;

const tableBytesOf = (name: string, sizeBytes: number): number => oemStringBytes(name, sizeBytes) + 1;

export function planDelivery(vm: DeliveryVm, secrets: KnownSecrets): DeliveryPlan {
  const boot = vm.credentials.map((wish) => bootDelivery(wish, secrets));
  const live = liveDeliveries(vm.grant, secrets);
  const strings = { used: boot.length + 1, limit: STRINGS_MAX };
  const credentialBytes = { used: BOOT_TOKEN_BYTES + sum(boot.map(({ sizeBytes = 0 }) => sizeBytes)), limit: CREDENTIALS_MAX_BYTES };
  const tableBytes = {
    used: tableBytesOf(BOOT_TOKEN_CREDENTIAL, BOOT_TOKEN_BYTES) + sum(boot.map(({ tableBytes: bytes = 0 }) => bytes)),
    limit: oemStringsMaxBytes(vm.ramBytes),
  };
  return {
    deliveries: [...boot, ...live],
    budgets: { strings, tableBytes, credentialBytes },
    problems: [
      ...missingSecrets(vm.grant, secrets),
      ...credentialNameProblems(vm.credentials).map(({ code, message, hint }) => ({ code, message, ...(hint === undefined ? {} : { hint }) })),
      ...vm.credentials.flatMap((wish, index) => sourceProblems(vm, wish, boot[index] as BootDelivery)),
      ...tooManyStrings(vm, boot),
      ...withoutRoom(vm, boot, tableBytes.limit),
      ...tooManyBytes(vm, credentialBytes),
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

function bootDelivery(wish: CredentialWish, secrets: KnownSecrets): BootDelivery {
  const source = secrets.get(wish.secret);
  const sizeBytes = source === undefined ? undefined : credentialValue(wish, source.value).sizeBytes;
  return {
    channel: 'boot', form: 'oem-string', secret: wish.secret, credential: wish.name, sizeBytes,
    tableBytes: sizeBytes === undefined ? undefined : tableBytesOf(wish.name, sizeBytes),
  };
}

function liveDeliveries(grant: Grant, secrets: KnownSecrets): LiveDelivery[] {
  const names = grant === 'all' ? [...secrets.keys()] : [...new Set(grant)];
  return names.sort().map((secret) => ({ channel: 'live', form: 'file', secret, sizeBytes: secrets.get(secret)?.value.sizeBytes }));
}

function sourceProblems({ label }: DeliveryVm, wish: CredentialWish, { sizeBytes }: BootDelivery): Problem[] {
  const credential = `${textOf(wish.name)} of ${label}`;
  if (sizeBytes === undefined) {
    return [{
      code: 'secret_not_found', message: `there is no secret "${wish.secret}", which ${credential} is made of`,
      hint: `slicer secret create ${wish.secret}`,
    }];
  }
  if (sizeBytes === 0 && !wish.allowEmpty) {
    const what = wish.trimNewline ? 'is empty without its newline' : 'is empty';
    return [{
      code: 'empty_value', message: `secret "${wish.secret}" ${what}, and ${credential} is not said to be so`,
      hint: `slicer secret update ${wish.secret}, or say that it is meant: allowEmpty`,
    }];
  }
  if (sizeBytes > SECRET_MAX_BYTES) {
    return [{
      code: 'value_too_large', message: `secret "${wish.secret}" is ${sizeBytes} bytes as ${credential}; systemd takes ${SECRET_MAX_BYTES}`,
      hint: liveInstead([wish.secret]),
    }];
  }
  return [];
}

function tooManyStrings({ label }: DeliveryVm, boot: readonly BootDelivery[]): Problem[] {
  const beyond = boot.slice(STRINGS_MAX - 1).map(({ secret }) => secret);
  if (beyond.length === 0) return [];
  return [{
    code: 'value_too_large',
    message: `${label} has ${boot.length} credentials, with the boot token ${boot.length + 1} OEM strings; a table has ${STRINGS_MAX}`,
    hint: liveInstead(beyond),
  }];
}

/** One for each credential that finds no room after those before it. */
function withoutRoom({ label }: DeliveryVm, boot: readonly BootDelivery[], limit: number): Problem[] {
  let used = tableBytesOf(BOOT_TOKEN_CREDENTIAL, BOOT_TOKEN_BYTES);
  return boot.flatMap(({ secret, credential, tableBytes = 0 }) => {
    if (used + tableBytes <= limit) {
      used += tableBytes;
      return [];
    }
    return [{
      code: 'value_too_large' as const,
      message: `secret "${secret}" is ${tableBytes} bytes as an OEM string for ${textOf(credential)}; `
        + `the table of ${label} has ${limit}, ${used} used`,
      hint: liveInstead([secret]),
    }];
  });
}

function tooManyBytes({ label }: DeliveryVm, { used, limit }: Budget): Problem[] {
  if (used <= limit) return [];
  return [{
    code: 'value_too_large',
    message: `the credentials of ${label} are ${used} bytes together, with the boot token; systemd takes ${limit}`,
    hint: 'deliver some over the live channel: --secret=NAME',
  }];
}

/** A name that systemd does not take is not shown: it may be a value in the wrong place. */
const textOf = (name: string): string => (isCredentialName(name) ? `credential "${name}"` : 'a credential');

const HINT_MAX_NAMES = 5;

function liveInstead(secrets: readonly SecretName[]): string {
  const names = [...new Set(secrets)];
  const which = names.length === 1 ? 'this one' : `these ${names.length}`;
  const more = names.length > HINT_MAX_NAMES ? ',...' : '';
  return `deliver ${which} over the live channel: --secret=${names.slice(0, HINT_MAX_NAMES).join(',')}${more}`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
