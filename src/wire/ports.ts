// VSOCK ports of the live channel. Both are reserved ports: binding one takes CAP_NET_BIND_SERVICE on
// either side, which is what keeps ordinary users of a guest from posing as the agent or as the host.

/** The host's per-VM secrets server; the guest dials it at CID 2. */
export const HOST_PORT = 901;

/** The agent's listener in the guest; the host dials it. */
export const AGENT_PORT = 900;

/** The host's address in VSOCK (vsock(7), VMADDR_CID_HOST). */
export const HOST_CID = 2;

/** Lowest and highest address a guest can have: below is reserved, 2^32 - 1 means "any" (vsock(7)). */
export const GUEST_CID_MIN = 3;
export const GUEST_CID_MAX = 0xfffffffe;
