// Requests to the host's secrets server over one kept-alive connection, one after the other. A VSOCK device may lose
// what one side sends and tell neither, so an answer of which nothing comes for long is not waited for any longer.
import * as os from 'os';
import * as sys from 'sys';
import { encodeHead, MessageReader, statusOf, type Head } from '../src/wire/http.ts';
import { USERDATA_MAX_BYTES } from '../src/wire/protocol.ts';
import { Connection } from './connection.ts';
import { Fault } from './fault.ts';
import { stillTimer } from './still-timer.ts';
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

/** The code of the fault when nothing came for too long. */
export const SILENT = 'silent';

interface Pending {
  readonly request: HostRequest;
  readonly resolve: (response: HostResponse) => void;
  readonly reject: (fault: Fault) => void;
}

export class HostClient {
  readonly #dial: () => number;
  readonly #silenceMaxMs: number;
  #connection: Connection | undefined;
  #pending: Pending | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** When the host was last heard of, or something asked of it. */
  #heardMs = 0;

  /** `silenceMaxMs`: how long nothing of an answer may come. */
  constructor(dial: () => number, silenceMaxMs: number) {
    this.#dial = dial;
    this.#silenceMaxMs = silenceMaxMs;
  }

  /** The host's answer. Rejects with a `Fault` when the connection fails; the next request dials again. */
  request(request: HostRequest): Promise<HostResponse> {
    const response = this.#last.then(() => this.#inTime(request));
    this.#last = response.catch(() => undefined);
    return response;
  }

  /** How long nothing has come of the answer that is waited for; 0 while there is none. */
  get silentMs(): number {
    return this.#pending === undefined ? 0 : os.now() - this.#heardMs;
  }

  close(): void {
    this.#connection?.close();
  }

  #inTime(request: HostRequest): Promise<HostResponse> {
    this.#heardMs = os.now();
    const look = (): void => {
      const leftMs = this.#silenceMaxMs - this.silentMs;
      if (leftMs <= 0) return this.#connection?.close(new Fault(SILENT, `the host was silent for ${this.#silenceMaxMs / 1000} s`));
      endTimer = stillTimer(leftMs, look);
    };
    let endTimer = stillTimer(this.#silenceMaxMs, look);
    return this.#send(request).finally(() => endTimer());
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
      onData: (chunk) => {
        this.#heardMs = os.now();
        reader.push(chunk);
      },
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
