// The numbers by which a guest and its host find each other over VSOCK, where the operator names none: drawn at
// random, since others start VMs on this machine too, and nobody keeps a list of all.
import { fail } from '../errors/slicer-error.ts';
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

/**
 * The port of the host that the guest's agent dials over the kernel's VSOCK, none of `taken`. A relay that finds
 * it taken by somebody else fails the launch. Throws launch_failed when half of all are taken.
 */
export function drawHostPort(randomBytes: RandomBytes, taken: ReadonlySet<number>): number {
  const count = HOST_PORT_MAX - HOST_PORT_MIN + 1;
  if (taken.size > count / 2) throw fail('launch_failed', `more than ${count / 2} VMs of this daemon have a port of the kernel's VSOCK`);
  for (;;) {
    const port = HOST_PORT_MIN + numberOf(randomBytes) % count;
    if (!taken.has(port)) return port;
  }
}

const numberOf = (randomBytes: RandomBytes): number => Buffer.from(randomBytes(4)).readUInt32LE();
