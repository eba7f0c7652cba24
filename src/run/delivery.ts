// What a run file asks to be delivered, for the one function that decides (delivery/plan.ts). Pure.
import type { RunFile } from '../config/run-file.ts';
import { bootChannelOf, type GuestArch } from '../delivery/hypervisor.ts';
import { OWN_CREDENTIALS, type DeliveryVm, type OwnCredential } from '../delivery/plan.ts';
import { HOST_CID } from '../wire/ports.ts';

/** systemd.system-credentials(7): where the guest's systemd says that it is up. */
export const NOTIFY_CREDENTIAL = 'vmm.notify_socket';

export const notifyAddress = (port: number): string => `vsock-stream:${HOST_CID}:${port}`;

/** `notifyPort`: where the guest's systemd is heard; undefined where it is not. */
export function deliveryVmOf(file: RunFile, arch: GuestArch, notifyPort?: number): DeliveryVm {
  const otherwise = bootChannelOf(file.vmm, arch) === undefined ? 'live' : 'boot';
  return {
    label: `vm "${file.name}"`,
    vmm: file.vmm,
    arch,
    ramBytes: file.ramBytes,
    // What is delivered live is a file and a credential: guests with systemd want the one, others the other.
    grant: file.secrets.filter(({ wish: { deliver = otherwise } }) => deliver !== 'boot').map(({ wish }) => wish.secret),
    credentials: file.secrets.map(({ wish }) => wish),
    hasLowInitrdKernel: file.boot.kind === 'image',
    oemStrings: file.staticOemStrings,
    hasFilesForSecrets: true,
    own: [...OWN_CREDENTIALS, ...(notifyPort === undefined ? [] : [notifyCredential(notifyPort)])],
  };
}

const notifyCredential = (port: number): OwnCredential => ({ name: NOTIFY_CREDENTIAL, sizeBytes: notifyAddress(port).length });

/**
 * Whether the guest says itself that it is up, over its boot channel; else the agent's first sync says it. An
 * operator who sends that credential himself has other plans with it, and the tiny image has no systemd.
 */
export function guestNotifies(file: RunFile, arch: GuestArch): boolean {
  const isTiny = file.boot.kind === 'image' && file.boot.image === 'tiny';
  const isTaken = file.secrets.some(({ wish }) => wish.name === NOTIFY_CREDENTIAL);
  return bootChannelOf(file.vmm, arch) !== undefined && !isTiny && !isTaken;
}
