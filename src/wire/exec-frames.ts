// Frames of an exec connection after its 101 answer: type (1 byte), payload length (4 bytes, big
// endian), payload. stdin ends with a frame of its own, since VSOCK devices do not pass on a half-close.

export const FRAME = {
  /** host to guest: bytes for the command's stdin */
  stdin: 1,
  /** host to guest: stdin ends here; no payload */
  stdinEnd: 2,
  /** host to guest: send the command this signal; payload is one byte, the signal's number */
  signal: 3,
  /** guest to host: the command runs; payload is its process id in decimal */
  started: 16,
  /** guest to host: bytes of the command's stdout or stderr */
  stdout: 17,
  stderr: 18,
  /** guest to host, last: payload is the exit code in decimal, 128 + the number for a signal */
  exit: 19,
  /** guest to host, last: the command could not be started; payload is the reason as UTF-8 */
  failed: 20,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: FrameType;
  readonly payload: Uint8Array;
}

/** Largest payload of one frame; a longer one ends the connection. */
export const FRAME_MAX_BYTES = 64 * 1024;

const HEADER_BYTES = 5;
const KNOWN: ReadonlySet<number> = new Set(Object.values(FRAME));

export function encodeFrame(type: FrameType, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.byteLength);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(1, payload.byteLength);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/**
 * Collects frames from any split of the stream, each byte copied once however small the pieces are.
 * `push` throws a `RangeError` for what is no frame.
 */
export class FrameReader {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerFill = 0;
  #payload = new Uint8Array(0);
  #payloadFill = 0;
  readonly #onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength) {
      if (this.#headerFill < HEADER_BYTES) {
        const take = Math.min(HEADER_BYTES - this.#headerFill, chunk.byteLength - offset);
        this.#header.set(chunk.subarray(offset, offset + take), this.#headerFill);
        this.#headerFill += take;
        offset += take;
        if (this.#headerFill < HEADER_BYTES) return;
        this.#beginPayload();
      } else {
        const take = Math.min(this.#payload.byteLength - this.#payloadFill, chunk.byteLength - offset);
        this.#payload.set(chunk.subarray(offset, offset + take), this.#payloadFill);
        this.#payloadFill += take;
        offset += take;
      }
      this.#endIfComplete();
    }
  }

  #beginPayload(): void {
    const type = this.#header[0] as number;
    const length = new DataView(this.#header.buffer).getUint32(1);
    if (!KNOWN.has(type)) throw new RangeError(`expected an exec frame, got one of type ${type}`);
    if (length > FRAME_MAX_BYTES) {
      throw new RangeError(`expected an exec frame of at most ${FRAME_MAX_BYTES} bytes, got ${length}`);
    }
    this.#payload = new Uint8Array(length);
    this.#payloadFill = 0;
  }

  #endIfComplete(): void {
    if (this.#payloadFill < this.#payload.byteLength) return;
    this.#headerFill = 0;
    this.#onFrame({ type: this.#header[0] as FrameType, payload: this.#payload });
  }
}
