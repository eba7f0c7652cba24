// How the agent and its host reach each other: VSOCK in a guest, or Unix sockets in the place of a VSOCK
// device for tests and benchmarks. Both sides of VSOCK use reserved ports, see src/wire/ports.ts.
import * as sys from 'sys';
import { AGENT_PORT, GUEST_CID_MAX, GUEST_CID_MIN, HOST_CID, HOST_PORT } from '../src/wire/ports.ts';
import { Fault } from './fault.ts';
import { inheritedListener } from './service-manager.ts';
import { findHostPort } from './system-credential.ts';

export interface Transport {
  /** A descriptor that connects to the host's secrets server. */
  readonly dialHost: () => number;
  /** A descriptor that listens for the host. */
  readonly listen: () => number;
  /** Whether a peer that connected to the listener can be the host. */
  readonly isHost: (peerCid: number) => boolean;
  /** Whether the host first writes `CONNECT PORT`, which a VSOCK device would answer. */
  readonly asksForPort: boolean;
}

/**
 * VSOCK. Refuses without an address of a guest: where no device is there, any user can load the loopback
 * transport, on which another process of the guest would pass for the host.
 */
export function vsockTransport(): Transport {
  const hostPort = findHostPort();
  const inherited = inheritedListener();
  const requireGuest = (): void => {
    const cid = sys.vsockLocalCid();
    if (cid < GUEST_CID_MIN || cid > GUEST_CID_MAX) {
      throw new Fault('ENODEV', `expected a VSOCK device with a guest's CID, got CID ${cid}`);
    }
  };
  return {
    dialHost: () => {
      requireGuest();
      return sys.vsockConnect(HOST_CID, hostPort);
    },
    listen: () => {
      requireGuest();
      return inherited ?? sys.vsockListen(AGENT_PORT);
    },
    isHost: (peerCid) => peerCid === HOST_CID,
    asksForPort: false,
  };
}

/** The agent in the place of a VM whose VSOCK socket, as the host sees it, is `path`. */
export function unixTransport(path: string): Transport {
  return {
    dialHost: () => sys.unixConnect(`${path}_${HOST_PORT}`),
    listen: () => sys.unixListen(path),
    isHost: () => true,
    asksForPort: true,
  };
}
