// Base64 of RFC 4648 section 4, strictly: padded, no line breaks, no other alphabet, no stray bits.
// What decodes encodes to the same text again, so a value has one spelling.

const ALPHABET = /^[A-Za-z0-9+/]*={0,2}$/;

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** The bytes, or undefined for what is not base64 in the one spelling that `encodeBase64` gives. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !ALPHABET.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  // Bits that the padding leaves over must be zero (section 3.5): `QUJ=` would decode like `QUI=`.
  return bytes.toString('base64') === text ? bytes : undefined;
}
