// Requests to the host's secrets server over one kept-alive connection, one after the other.
import * as sys from 'sys';
import { encodeHead, MessageReader, statusOf, type Head } from '../src/wire/http.ts';
import { USERDATA_MAX_BYTES } from '../src/wire/protocol.ts';
import { Connection } from './connection.ts';
import { Fault } from './fault.ts';
import { joinedBytes, utf8Bytes } from './text.ts';

export interface HostRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /**
   * Called with a response's status and head before its body; returns who takes the body as it comes,
   * or undefined to have it collected.
   */
  readonly onHead?: (status: number, head: Head) => BodyTaker | undefined;
}

export type BodyTaker = (chunk: Uint8Array) => void;

export interface HostResponse {
  readonly status: number;
  readonly head: Head;
  readonly body: Uint8Array;
}

interface Pending {
  readonly request: HostRequest;
  readonly resolve: (response: HostResponse) => void;
  readonly reject: (fault: Fault) => void;
}

export class HostClient {
  readonly #dial: () => number;
  #connection: Connection | undefined;
  #pending: Pending | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(dial: () => number) {
    this.#dial = dial;
  }

  /** The host's answer. Rejects with a `Fault` when the connection fails; the next request dials again. */
  request(request: HostRequest): Promise<HostResponse> {
    const response = this.#last.then(() => this.#send(request));
    this.#last = response.catch(() => undefined);
    return response;
  }

  close(): void {
    this.#connection?.close();
  }

  #send(request: HostRequest): Promise<HostResponse> {
    return new Promise((resolve, reject) => {
      this.#pending = { request, resolve, reject };
      const length = request.body?.byteLength ?? (request.method === 'GET' ? undefined : 0);
      const head = encodeHead(`${request.method} ${request.target} HTTP/1.1`, {
        Host: 'slicer',
        ...request.headers,
        ...(length === undefined ? {} : { 'Content-Length': length }),
      });
      try {
        this.#connection ??= this.#connect();
      } catch (error) {
        this.#pending = undefined;
        throw error;
      }
      this.#connection.write(utf8Bytes(head));
      if (request.body !== undefined) this.#connection.write(request.body);
    });
  }

  #connect(): Connection {
    const collected: Uint8Array[] = [];
    let collectedBytes = 0;
    let status = 0;
    let head: Head | undefined;
    let taker: BodyTaker | undefined;
    const collect = (chunk: Uint8Array): void => {
      collectedBytes += chunk.byteLength;
      if (collectedBytes > USERDATA_MAX_BYTES) throw new Fault('protocol', 'the host sent more than fits');
      collected.push(chunk.slice());
    };
    const reader = new MessageReader({
      onHead: (received) => {
        if (this.#pending === undefined) throw new Fault('protocol', 'the host sent a response to no request');
        status = statusOf(received);
        head = received;
        taker = this.#pending.request.onHead?.(status, received) ?? collect;
      },
      onBody: (chunk) => taker?.(chunk),
      onEnd: () => {
        const pending = this.#pending as Pending;
        this.#pending = undefined;
        const body = joinedBytes(collected.splice(0));
        collectedBytes = 0;
        pending.resolve({ status, head: head as Head, body });
      },
    }, sys.latin1);
    const connection: Connection = new Connection(this.#dial(), true, {
      onData: (chunk) => reader.push(chunk),
      onClose: (fault) => {
        if (this.#connection === connection) this.#connection = undefined;
        const pending = this.#pending;
        this.#pending = undefined;
        pending?.reject(fault ?? new Fault('closed', 'the connection to the host was closed'));
      },
    });
    return connection;
  }
}
