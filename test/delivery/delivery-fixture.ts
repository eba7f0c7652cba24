// VMs and secrets to plan for.
import type { CredentialWish } from '../../src/delivery/credential.ts';
import type { GuestArch, VmmChoice } from '../../src/delivery/hypervisor.ts';
import { planDelivery, type DeliveryPlan, type DeliveryVm, type KnownSecrets } from '../../src/delivery/plan.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';

export const MIB = 1024 * 1024;

export const Q35: VmmChoice = { hypervisor: 'qemu', machine: 'q35' };
export const MICROVM: VmmChoice = { hypervisor: 'qemu', machine: 'microvm' };
export const CLOUD_HYPERVISOR: VmmChoice = { hypervisor: 'cloud-hypervisor', machine: 'q35' };
export const FIRECRACKER: VmmChoice = { hypervisor: 'firecracker', machine: 'q35' };

/** Every VMM and processor that there is a plan for, by what a message calls it. */
export const VMMS: readonly (readonly [string, VmmChoice, GuestArch])[] = [
  ['QEMU q35', Q35, 'x86_64'], ['QEMU microvm', MICROVM, 'x86_64'], ['Cloud Hypervisor', CLOUD_HYPERVISOR, 'x86_64'],
  ['Cloud Hypervisor on aarch64', CLOUD_HYPERVISOR, 'aarch64'], ['Firecracker', FIRECRACKER, 'x86_64'], ['Firecracker', FIRECRACKER, 'aarch64'],
];

export const name = (text: string): SecretName => text as SecretName;

export const wish = (credential: string, secret: string, choices: Partial<CredentialWish> = {}): CredentialWish => ({
  name: credential, secret: name(secret), trimNewline: false, allowEmpty: false, allowReserved: false, ...choices,
});

/** Secrets by their values, or by how many bytes they have. */
export const known = (values: Readonly<Record<string, number | string>>): KnownSecrets =>
  new Map(Object.entries(values).map(([secret, value]) => [
    name(secret), { value: new Secret(typeof value === 'number' ? new Uint8Array(value) : Buffer.from(value)) },
  ]));

export const vm = (credentials: readonly CredentialWish[], change: Partial<DeliveryVm> = {}): DeliveryVm => ({
  label: 'host group "web"', vmm: Q35, arch: 'x86_64', ramBytes: 192 * MIB, grant: [], credentials, oemStrings: [], ...change,
});

export const messages = ({ problems }: DeliveryPlan): string[] => problems.map(({ message }) => message);
export const codes = ({ problems }: DeliveryPlan): string[] => problems.map(({ code }) => code);

/** The messages of a plan for credentials of so many bytes each, named `c0`, `c1` and so on. */
export function planOf(vmm: VmmChoice, credentials: readonly (readonly [string, number])[], change: Partial<DeliveryVm> = {}): DeliveryPlan {
  const secrets = Object.fromEntries(credentials.map(([, size], index) => [`s${index}`, size]));
  return planDelivery(vm(credentials.map(([credential], index) => wish(credential, `s${index}`)), { vmm, ...change }), known(secrets));
}
