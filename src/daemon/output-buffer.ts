// Bytes that come in pieces of any size, kept in as much memory as they have, twice over at most: a list of
// pieces would cost a hundred times as much when somebody sends them one by one.

const FIRST_BYTES = 4096;

export class OutputBuffer {
  #bytes = Buffer.alloc(0);
  #sizeBytes = 0;

  add(piece: Uint8Array): void {
    const needed = this.#sizeBytes + piece.byteLength;
    if (needed > this.#bytes.byteLength) {
      const larger = Buffer.alloc(Math.max(needed, 2 * this.#bytes.byteLength, FIRST_BYTES));
      this.#bytes.copy(larger, 0, 0, this.#sizeBytes);
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#sizeBytes);
    this.#sizeBytes = needed;
  }

  toString(encoding: 'utf8' | 'base64'): string {
    return this.#bytes.toString(encoding, 0, this.#sizeBytes);
  }
}
