// The devices of a QEMU VM. On q35 virtio devices are on PCI, on microvm on MMIO; their names differ by
// that alone.
import { createHash } from 'node:crypto';
import type { MachineType } from '../delivery/hypervisor.ts';
import type { InheritedDescriptor, NetworkInterface, VmSpec, Volume } from './contract.ts';
import { pathOfDescriptor } from './inherited-files.ts';

export const MIB = 1024 * 1024;

/** What the VSOCK device, its connection to its process, and the port it is behind are called, for it to be taken out and put back. */
export const VSOCK_DEVICE = 'vsock-device';
export const VSOCK_CHARDEV = 'vsock';
export const VSOCK_PORT = 'vsock-port';

/** Makes the process inherit a descriptor, and says which number it has there. */
type Inherit = (descriptor: InheritedDescriptor) => number;

export function deviceArgv(machine: MachineType, spec: VmSpec, inherit: Inherit): string[] {
  const bus = machine === 'q35' ? 'pci' : 'device';
  return [
    ...vsockArgv(machine, spec, inherit),
    '-object', 'rng-builtin,id=rng',
    '-device', `virtio-rng-${bus},rng=rng`,
    ...spec.volumes.flatMap((volume, index) => {
      const { options, path } = fileOf(volume, index, spec, inherit);
      return [
        ...options,
        '-blockdev', `driver=raw,node-name=volume-${index},read-only=${onOff(volume.readOnly)},file.driver=file,file.filename=${optionValue(path)}`,
        '-device', `virtio-blk-${bus},drive=volume-${index}`,
      ];
    }),
    ...spec.shares.flatMap(({ tag, socket }, index) => [
      '-chardev', `socket,id=share-${index},path=${optionValue(spec.sockets.owner === undefined ? socket : pathOfDescriptor(inherit({ kind: 'file', path: socket, access: 'name' })))}`,
      '-device', `vhost-user-fs-${bus},chardev=share-${index},tag=${optionValue(tag)}`,
    ]),
    ...spec.interfaces.flatMap((network, index) => [
      '-netdev', netdev(network, `network-${index}`, inherit),
      // No option ROM: nothing boots from it.
      '-device', `virtio-net-${bus},netdev=network-${index},mac=${network.mac ?? macOf(spec.name, index)}${machine === 'q35' ? ',romfile=' : ''}`,
    ]),
    ...(spec.balloon === undefined ? [] : ['-device',
      `virtio-balloon-${bus},deflate-on-oom=${onOff(spec.balloon.deflateOnOom)},free-page-reporting=${onOff(spec.balloon.freePageReporting)}`]),
    ...(spec.watchdog ? ['-device', 'i6300esb', '-action', 'watchdog=reset'] : []),
  ];
}

/** A disk is handed over open, in a set of descriptors that QEMU takes for a path: nobody else's rights change. */
function fileOf({ path, readOnly }: Volume, index: number, { sockets }: VmSpec, inherit: Inherit): { readonly options: string[]; readonly path: string } {
  if (sockets.owner === undefined) return { options: [], path };
  const descriptor = inherit({ kind: 'file', path, access: readOnly ? 'open' : 'open-writable' });
  return { options: ['-add-fd', `fd=${descriptor},set=${index}`], path: `/dev/fdset/${index}` };
}

function vsockArgv(machine: MachineType, { vsock, guestCid, sockets }: VmSpec, inherit: Inherit): string[] {
  // Behind a port, so that the device can be taken out and put back while the guest runs.
  const port = machine === 'q35' ? ['-device', `pcie-root-port,id=${VSOCK_PORT},chassis=1,slot=1`] : [];
  const place = machine === 'q35' ? ['-pci', `,bus=${VSOCK_PORT}`] : ['-device', ''];
  const device = (kind: string, options: string): string => `${kind}${place[0]},id=${VSOCK_DEVICE},${options}${place[1]}`;
  if (vsock.kind === 'kernel') return [...port, '-device', device('vhost-vsock', `guest-cid=${guestCid}${sockets.owner === undefined ? '' : `,vhostfd=${inherit({ kind: 'device', path: '/dev/vhost-vsock' })}`}`)];
  return [
    '-chardev', `socket,id=${VSOCK_CHARDEV},path=${optionValue(sockets.vhost)}`,
    ...port,
    '-device', device('vhost-user-vsock', `chardev=${VSOCK_CHARDEV}`),
  ];
}

function netdev(network: NetworkInterface, id: string, inherit: Inherit): string {
  switch (network.kind) {
    // QEMU's own network stack (slirp).
    case 'user': return `user,id=${id}`;
    case 'tap': return `tap,id=${id},ifname=${optionValue(network.name)},script=no,downscript=no`;
    case 'macvtap': return `tap,id=${id},fd=${inherit({ kind: 'device', path: network.device })}`;
  }
}

/**
 * QEMU would give the first interface of every VM the same address. Locally administered (IEEE 802, the
 * second bit of the first octet), in the range that QEMU and others use for VMs.
 */
function macOf(name: string, index: number): string {
  const digits = createHash('sha256').update(`${name} ${index}`).digest('hex');
  return `52:54:00:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4, 6)}`;
}

const onOff = (choice: boolean): string => (choice ? 'on' : 'off');

/** A value inside QEMU's comma-separated options: a comma is written twice (qemu(1), "-drive"). */
export function optionValue(value: string): string {
  return value.replaceAll(',', ',,');
}
