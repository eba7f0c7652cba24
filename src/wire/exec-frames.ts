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

/** Collects frames from any split of the stream. `push` throws a `RangeError` for what is no frame. */
export class FrameReader {
  #pending = new Uint8Array(0);
  readonly #onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Uint8Array): void {
    let data = chunk;
    if (this.#pending.byteLength > 0) {
      data = new Uint8Array(this.#pending.byteLength + chunk.byteLength);
      data.set(this.#pending);
      data.set(chunk, this.#pending.byteLength);
    }
    let offset = 0;
    while (data.byteLength - offset >= HEADER_BYTES) {
      const type = data[offset] as number;
      const length = new DataView(data.buffer, data.byteOffset + offset + 1, 4).getUint32(0);
      if (!KNOWN.has(type)) throw new RangeError(`expected an exec frame, got one of type ${type}`);
      if (length > FRAME_MAX_BYTES) {
        throw new RangeError(`expected an exec frame of at most ${FRAME_MAX_BYTES} bytes, got ${length}`);
      }
      const end = offset + HEADER_BYTES + length;
      if (data.byteLength < end) break;
      this.#onFrame({ type: type as FrameType, payload: data.slice(offset + HEADER_BYTES, end) });
      offset = end;
    }
    this.#pending = data.slice(offset);
  }
}
