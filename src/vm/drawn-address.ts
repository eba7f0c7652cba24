// The numbers by which a guest and its host find each other over VSOCK, where the operator names none: drawn at
// random, since others start VMs on this machine too, and nobody keeps a list of all.
import { fail, SlicerError } from '../errors/slicer-error.ts';
import { GUEST_CID_MAX, GUEST_CID_MIN } from '../wire/ports.ts';

/** Cryptographically random. */
export type RandomBytes = (count: number) => Uint8Array;

/** Of three digits, so that what a plan reserves for it is exact; only a privileged process can have them. */
const HOST_PORT_MIN = 102;
const HOST_PORT_MAX = 999;

/** A CID that is none of `taken`: there are 2^32 of them. */
export function drawCid(randomBytes: RandomBytes, taken: ReadonlySet<number>): number {
  for (;;) {
    const cid = numberOf(randomBytes);
    if (cid >= GUEST_CID_MIN && cid <= GUEST_CID_MAX && !taken.has(cid)) return cid;
  }
}

/** The port of the host that the guest's agent dials over the kernel's VSOCK, none of `taken`. Throws launch_failed when half of all are taken. */
export function drawHostPort(randomBytes: RandomBytes, taken: ReadonlySet<number>): number {
  const count = HOST_PORT_MAX - HOST_PORT_MIN + 1;
  if (taken.size > count / 2) throw fail('launch_failed', `more than ${count / 2} VMs of this daemon have a port of the kernel's VSOCK`);
  for (;;) {
    const port = HOST_PORT_MIN + numberOf(randomBytes) % count;
    if (!taken.has(port)) return port;
  }
}

/** With 100 VMs of others on this machine, one start in a thousand million finds that many taken. */
const DRAWS = 10;

/**
 * Launches with ports that `draw` makes of those known to be taken, until one is nobody else's: only a relay that
 * listens on it knows. Throws what `launch` does, vsock_port_taken when ten were taken, and what `draw` does.
 */
export async function withHostPort<T>(draw: (refused: ReadonlySet<number>) => number, launch: (hostPort: number) => Promise<T>): Promise<T> {
  const refused = new Set<number>();
  for (;;) {
    const hostPort = draw(refused);
    try {
      return await launch(hostPort);
    } catch (error) {
      refused.add(hostPort);
      if (!(error instanceof SlicerError && error.code === 'vsock_port_taken') || refused.size === DRAWS) throw error;
    }
  }
}

const numberOf = (randomBytes: RandomBytes): number => Buffer.from(randomBytes(4)).readUInt32LE();
