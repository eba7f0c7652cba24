// Names of VMs.

/** A DNS label (RFC 1123, section 2.1), in lower case. */
export const HOSTNAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const HOSTNAME_RULE = 'a DNS label: 1 to 63 of a-z 0-9 -, not beginning or ending with -';
