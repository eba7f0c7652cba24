// On the host, where QEMU uses the kernel's vhost-vsock: makes of a VM's VSOCK the Unix socket that every
// other VMM has, since Node speaks no VSOCK. Takes connections of this VM's CID only; the loop is in sys.c.
import * as sys from 'sys';
import { HOST_PORT } from '../src/wire/ports.ts';

export interface RelayOptions {
  readonly cid: number;
  /** The host's port that this VM's agent dials: of all VMs of a host each has its own. */
  readonly port: number;
  readonly udsPath: string;
  /** For tests: Unix sockets in the place of VSOCK, `PATH_PORT` for each port. */
  readonly guestSocket: string | undefined;
}

/** Until the process ends. Throws where it can't listen; once it listens at `udsPath`, it does for the guest too. */
export function relayVsock({ cid, port, udsPath, guestSocket }: RelayOptions): never {
  const guestListener = guestSocket === undefined ? sys.vsockListen(port) : sys.unixListen(`${guestSocket}_${port}`);
  const hostListener = sys.unixListen(udsPath);
  // One was needed for the port, which is a reserved one.
  sys.dropCapabilities();
  return sys.relay(guestListener, hostListener, cid, udsPath, HOST_PORT, guestSocket);
}
