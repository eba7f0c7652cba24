// The guest's side of one connection to the host's secrets server: requests one after the other.
import type { Socket } from 'node:net';
import { asciiBytes, encodeHead, MessageReader, statusOf } from '../../src/wire/http.ts';

export interface HostResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export class HostConnection {
  readonly socket: Socket;
  /** All bytes that came. */
  readonly received: Buffer[] = [];
  readonly closed: Promise<void>;
  #answered: ((response: HostResponse) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(socket: Socket) {
    let status = 0;
    let headers: ReadonlyMap<string, string> = new Map();
    let chunks: Uint8Array[] = [];
    const reader = new MessageReader({
      onHead: (head) => {
        status = statusOf(head);
        ({ headers } = head);
      },
      onBody: (chunk) => void chunks.push(chunk.slice()),
      onEnd: () => {
        const body = Buffer.concat(chunks);
        chunks = [];
        this.#answered?.({ status, headers, body });
      },
    });
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (chunk) => {
      this.received.push(chunk);
      reader.push(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#failed?.(new Error('the host closed the connection')));
  }

  request(line: string, headers: Readonly<Record<string, string>> = {}, body?: Uint8Array | object): Promise<HostResponse> {
    const bytes = body === undefined ? undefined : body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
    const length = bytes === undefined ? {} : { 'Content-Length': bytes.byteLength };
    return this.send(Buffer.concat([
      asciiBytes(encodeHead(`${line} HTTP/1.1`, { ...headers, ...length })), bytes ?? new Uint8Array(0),
    ]));
  }

  /** Sends these bytes and waits for an answer, or rejects when the host closes the connection. */
  send(bytes: Uint8Array | string): Promise<HostResponse> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      if (this.socket.destroyed) reject(new Error('the host closed the connection'));
      else this.socket.write(bytes);
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
