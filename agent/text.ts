// Text and bytes, by way of C: QuickJS has no TextEncoder.
import * as sys from 'sys';

export function utf8Bytes(text: string): Uint8Array {
  return new Uint8Array(sys.bytes(text));
}

/** UTF-8; what is not valid becomes replacement characters. */
export function utf8Text(bytes: Uint8Array): string {
  return sys.text(bytes, 0, bytes.byteLength);
}

export function jsonBytes(value: unknown): Uint8Array {
  return utf8Bytes(JSON.stringify(value));
}

export function joinedBytes(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
