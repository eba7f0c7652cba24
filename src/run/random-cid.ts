// The guest's address in VSOCK, where the operator names none.
import { randomBytes } from 'node:crypto';
import { GUEST_CID_MAX, GUEST_CID_MIN } from '../wire/ports.ts';

/** Any will do that no other VM of this machine has: 2^32 of them, drawn at random. */
export function drawnCid(): number {
  for (;;) {
    const cid = randomBytes(4).readUInt32LE();
    if (cid >= GUEST_CID_MIN && cid <= GUEST_CID_MAX) return cid;
  }
}
