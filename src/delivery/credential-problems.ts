// What can be wrong with one credential beside its name: its source, its channel. Pure. Messages name the
// thing, the limit and the actual size, never a value.
import type { Problem } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import { SECRET_MAX_BYTES } from '../secret/secret.ts';
import { isCredentialName } from '../wire/credential-name.ts';
import { FW_CFG_PREFIX, type BootRoom } from './boot-room.ts';
import type { CredentialWish } from './credential.ts';
import { vmmTitle, type GuestArch, type VmmChoice } from './hypervisor.ts';

export interface SizedWish {
  readonly wish: CredentialWish;
  /** What the guest gets; undefined where there is no such secret. */
  readonly sizeBytes: number | undefined;
}

/** What a message and its hint have to know of the VM. */
export interface Addressee {
  readonly label: string;
  readonly hasFilesForSecrets?: boolean;
}

interface ChosenVmm extends Addressee {
  readonly vmm: VmmChoice;
  readonly arch: GuestArch;
}

/** A name that systemd does not take is not shown: it may be a value in the wrong place. */
export const credentialText = (name: string): string => (isCredentialName(name) ? `credential "${name}"` : 'a credential');

const HINT_MAX_NAMES = 5;

export function liveInstead({ hasFilesForSecrets = false }: Addressee, secrets: readonly SecretName[]): string {
  const names = [...new Set(secrets)];
  const which = names.length === 1 ? 'this one' : `these ${names.length}`;
  const more = names.length > HINT_MAX_NAMES ? ',...' : '';
  const asFile = hasFilesForSecrets ? '' : `, or as a file: --secret=${names.slice(0, HINT_MAX_NAMES).join(',')}${more}`;
  return `deliver ${which} over the live channel: deliver: live${asFile}`;
}

/** One for each credential that was asked for at boot, of a VM that has no boot channel. */
export function channelProblems({ label, vmm, arch }: ChosenVmm, asked: readonly SizedWish[]): Problem[] {
  const where = vmm.hypervisor === 'cloud-hypervisor' ? `${vmmTitle(vmm)} on ${arch}` : vmmTitle(vmm);
  return asked.map(({ wish: { name, deliver } }) => ({
    code: 'invalid_request',
    message: `${credentialText(name)} of ${label} says "deliver: ${deliver}"; ${where} has no boot channel`,
    hint: 'leave "deliver" out, or say "deliver: live"',
  }));
}

/** Names that systemd takes and the channel does not. */
export function nameLengthProblems(vm: ChosenVmm, boot: readonly SizedWish[], { nameMaxBytes = Infinity }: BootRoom): Problem[] {
  const { label, vmm } = vm;
  return boot.filter(({ wish: { name } }) => isCredentialName(name) && name.length > nameMaxBytes).map(({ wish: { name, secret } }) => ({
    code: 'invalid_name',
    message: `credential "${name}" of ${label} has a name of ${name.length} characters; fw_cfg of ${vmmTitle(vmm)} takes ${nameMaxBytes} `
      + `after "${FW_CFG_PREFIX}"`,
    hint: `choose a shorter name, or ${liveInstead(vm, [secret])}`,
  }));
}

export function sourceProblems(vm: Addressee, { wish, sizeBytes }: SizedWish): Problem[] {
  const credential = `${credentialText(wish.name)} of ${vm.label}`;
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
      hint: vm.hasFilesForSecrets === true ? 'write the value into its file, or say that it is meant: allowEmpty: true'
        : `slicer secret update ${wish.secret}, or say that it is meant: allowEmpty`,
    }];
  }
  if (sizeBytes > SECRET_MAX_BYTES) {
    return [{
      code: 'value_too_large', message: `secret "${wish.secret}" is ${sizeBytes} bytes as ${credential}; systemd takes ${SECRET_MAX_BYTES}`,
      hint: `split it, or deliver it as a file: --secret=${wish.secret}`,
    }];
  }
  return [];
}
