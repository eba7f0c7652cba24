// A non-blocking stream over a descriptor, driven by QuickJS's event loop.
import * as os from 'os';
import * as sys from 'sys';
import { Fault, toFault } from './fault.ts';

export interface ConnectionHandlers {
  /** `chunk` is only valid during the call: all connections share one receive buffer. */
  readonly onData: (chunk: Uint8Array) => void;
  /** Called once, also after `close()`; `fault` is absent when this side closed. */
  readonly onClose: (fault?: Fault) => void;
  readonly onDrain?: () => void;
}

/**
 * Bytes of one write. Newer guest kernels (Debian's 6.12.107, say) send more than 32 KiB over VSOCK as a
 * packet in pieces, which vhost-device-vsock 0.3.0 loses, and the connection then stands still for ever.
 */
const WRITE_MAX_BYTES = 32 * 1024;

const RECEIVE_BYTES = 64 * 1024;
/** Reads one after the other before the event loop has its turn. */
const READS_MAX = 16;
/** Made by the first connection, since most of the agent's commands need none. */
let receiveBuffer: Uint8Array | undefined;

export class Connection {
  readonly #fd: number;
  readonly #handlers: ConnectionHandlers;
  #queue: Uint8Array[] = [];
  #sent = 0;
  #closed = false;
  #writing = false;
  #ending = false;
  #reading = false;

  /** Takes over a connected, or connecting, non-blocking descriptor. */
  constructor(fd: number, connecting: boolean, handlers: ConnectionHandlers) {
    this.#fd = fd;
    this.#handlers = handlers;
    if (connecting) {
      this.#writing = true;
      os.setWriteHandler(fd, () => this.#onConnected());
    } else {
      this.resume();
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that the peer has not taken yet. */
  get backlog(): number {
    return this.#queue.reduce((sum, bytes) => sum + bytes.byteLength, -this.#sent);
  }

  write(bytes: Uint8Array): void {
    if (this.#closed || bytes.byteLength === 0) return;
    this.#queue.push(bytes);
    if (!this.#writing) this.#flush();
  }

  /** Closes once everything written was taken. */
  end(): void {
    this.#ending = true;
    if (this.#queue.length === 0) this.close();
  }

  pause(): void {
    this.#reading = false;
    if (!this.#closed) os.setReadHandler(this.#fd, null);
  }

  resume(): void {
    if (this.#closed) return;
    this.#reading = true;
    os.setReadHandler(this.#fd, () => this.#onReadable());
  }

  /** Takes what has come already, without waiting for the event loop to say so. */
  readNow(): void {
    if (!this.#closed) this.#onReadable();
  }

  close(fault?: Fault): void {
    if (this.#closed) return;
    this.#closed = true;
    os.setReadHandler(this.#fd, null);
    os.setWriteHandler(this.#fd, null);
    sys.close(this.#fd);
    this.#handlers.onClose(fault);
  }

  #onConnected(): void {
    os.setWriteHandler(this.#fd, null);
    this.#writing = false;
    this.#guard(() => {
      sys.connectResult(this.#fd);
      this.resume();
      this.#flush();
    });
  }

  #onReadable(): void {
    this.#guard(() => {
      receiveBuffer ??= new Uint8Array(RECEIVE_BYTES);
      let count: number;
      let turns = 0;
      // A pipe whose other end is fast is always full: whoever was told to pause must see it, and others have a turn.
      do {
        turns += 1;
        count = sys.read(this.#fd, receiveBuffer);
        if (count === 0) throw new Fault('closed', 'the other side closed the connection');
        if (count > 0) this.#handlers.onData(receiveBuffer.subarray(0, count));
      } while (count === RECEIVE_BYTES && turns < READS_MAX && this.#reading && !this.#closed);
    });
  }

  #flush(): void {
    this.#guard(() => {
      let bytes: Uint8Array | undefined;
      while ((bytes = this.#queue[0]) !== undefined) {
        const count = sys.write(this.#fd, bytes, this.#sent, Math.min(bytes.byteLength, this.#sent + WRITE_MAX_BYTES));
        if (count < 0) break;
        this.#sent += count;
        if (this.#sent === bytes.byteLength) {
          this.#queue.shift();
          this.#sent = 0;
        }
      }
      const blocked = this.#queue.length > 0;
      if (blocked !== this.#writing) {
        this.#writing = blocked;
        os.setWriteHandler(this.#fd, blocked ? () => this.#flush() : null);
      }
      if (blocked) return;
      this.#handlers.onDrain?.();
      if (this.#ending) this.close();
    });
  }

  /** Any fault while handling a connection ends that connection, and nothing else. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.close(toFault(error));
    }
  }
}
