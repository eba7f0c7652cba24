// A value that does not print itself. Every way in which JavaScript turns an object into text gives
// `[secret]`; `reveal()` is the one way out, so that one can grep for every place that uses plaintext.

const REDACTED = '[secret]';
const NEWLINE = 0x0a;

/** 1 MiB: the largest value of a secret (also systemd's limit for one credential). */
export const SECRET_MAX_BYTES = 1024 * 1024;

export class Secret {
  readonly #bytes: Uint8Array;

  /** Takes over `bytes`; the caller must not change them afterwards. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#bytes.byteLength;
  }

  /** The plaintext. Not a copy: do not write to it, do not keep it longer than the write or send takes. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** The same without one newline at its end, where there is one. */
  withoutFinalNewline(): Secret {
    return this.#bytes.at(-1) === NEWLINE ? new Secret(this.#bytes.subarray(0, -1)) : this;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.toPrimitive](): string {
    return REDACTED;
  }

  // Node's util.inspect, which console.log and assertion messages use.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}
