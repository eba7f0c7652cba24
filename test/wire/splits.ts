// Cuts bytes into pieces, the way a stream may deliver them.
import fc from 'fast-check';

/** Pieces of `bytes`, none empty, that make it up again; cut anywhere, often in many small pieces. */
export function splitsOf(bytes: Uint8Array): fc.Arbitrary<Uint8Array[]> {
  const random = fc.uniqueArray(fc.nat({ max: Math.max(0, bytes.byteLength - 1) }), { maxLength: 40 });
  return fc.oneof(random, fc.constantFrom(1, 2, 3, 511, 513).map((step) => everyNth(bytes.byteLength, step)))
    .map((cuts) => cutAt(bytes, cuts));
}

export function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [...new Set([0, ...cuts, bytes.byteLength])].sort((a, b) => a - b);
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
}

function everyNth(length: number, step: number): number[] {
  return Array.from({ length: Math.floor(length / step) }, (_, index) => index * step);
}
