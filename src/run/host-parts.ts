// What a run file names on this machine besides disks: network interfaces and virtiofsd's sockets, which are
// given and not started. Looked at when the VM starts.
import { access, constants, readFile, stat } from 'node:fs/promises';
import type { RunFile, RunInterface } from '../config/run-file.ts';
import type { Problem } from '../errors/slicer-error.ts';
import type { NetworkInterface } from '../vmm/contract.ts';

export interface HostParts {
  readonly interfaces: readonly NetworkInterface[];
  /** Each with its name; then `interfaces` lacks what it is about. */
  readonly problems: readonly Problem[];
}

/** `sysfs` is where the kernel shows its network interfaces: `/sys/class/net`. */
export async function findHostParts({ interfaces, shares }: Pick<RunFile, 'interfaces' | 'shares'>, sysfs = '/sys/class/net'): Promise<HostParts> {
  const found = await Promise.all(interfaces.map((network) => findInterface(network, sysfs)));
  const sockets = await Promise.all(shares.map(async ({ tag, socket }): Promise<Problem[]> =>
    (await stat(socket).then((stats) => stats.isSocket(), () => false) ? []
      : [missing(`there is no socket at ${socket}, which the share "${tag}" needs`, 'start its virtiofsd first')])));
  return {
    interfaces: found.flatMap((result) => ('kind' in result ? [result] : [])),
    problems: [...found.flatMap((result) => ('kind' in result ? [] : [result])), ...sockets.flat()],
  };
}

async function findInterface(network: RunInterface, sysfs: string): Promise<NetworkInterface | Problem> {
  if (network.kind === 'user') return { kind: 'user', mac: network.mac };
  const { name } = network;
  const attribute = (file: string): Promise<string | undefined> =>
    readFile(`${sysfs}/${name}/${file}`, 'latin1').then((text) => text.trim(), () => undefined);
  const index = await attribute('ifindex');
  if (index === undefined) {
    const make = network.kind === 'tap' ? `ip tuntap add ${name} mode tap user USER` : `ip link add link LINK name ${name} type macvtap mode bridge`;
    return missing(`there is no interface "${name}"`, make);
  }
  if (network.kind === 'tap') {
    // tuntap(4): only taps and tuns have flags of their own.
    return await attribute('tun_flags') === undefined ? missing(`the interface "${name}" is no tap`, `ip -d link show ${name}`) : { kind: 'tap', name, mac: network.mac };
  }
  const device = `/dev/tap${index}`;
  const failure = await access(device, constants.R_OK | constants.W_OK).then(() => undefined, (error: NodeJS.ErrnoException) => error.code);
  if (failure !== undefined) return missing(`${device} of the macvtap interface "${name}" can't be opened: ${failure}`, `ls -l ${device}`);
  // What the guest sends from another address, the host's driver drops.
  const mac = network.mac ?? await attribute('address');
  return { kind: 'macvtap', name, device, ...(mac === undefined ? {} : { mac }) };
}

const missing = (message: string, hint: string): Problem => ({ code: 'missing_part', message, hint });
