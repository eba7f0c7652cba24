// What each side of a host-dialled connection proves to the other: that it knows the key, without
// showing it. The key is the VM's boot token for a new session (empty where there is no boot channel),
// and the session key for a call. HMAC-SHA256 (RFC 2104) over labelled, fixed-length parts.

/** HMAC-SHA256 of `text` under `key`, both read as Latin-1; the result in lower-case hexadecimal. */
export type HmacSha256 = (key: string, text: string) => string;

/** What a host-dialled connection is for: it decides which key both sides prove. */
export type Purpose = 'session' | 'call';

/** Nonces, shares, proofs and session keys: 32 bytes as 64 lower-case hexadecimal digits. */
export const HEX_32_BYTES = /^[0-9a-f]{64}$/;

export interface Nonces {
  readonly host: string;
  readonly guest: string;
}

export function guestProof(hmac: HmacSha256, key: string, purpose: Purpose, nonces: Nonces): string {
  return hmac(key, `slicer/1 guest ${purpose} ${nonces.host} ${nonces.guest}`);
}

export function hostProof(hmac: HmacSha256, key: string, purpose: Purpose, nonces: Nonces): string {
  return hmac(key, `slicer/1 host ${purpose} ${nonces.guest} ${nonces.host}`);
}

/** The session key, which never crosses the wire before the guest presents it to the host it came from. */
export function sessionKey(hmac: HmacSha256, token: string, share: string, nonces: Nonces): string {
  return hmac(token, `slicer/1 session-key ${share} ${nonces.host} ${nonces.guest}`);
}

/** Compares two strings in a time that depends on their lengths only. */
export function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}
