// A connection that the host dialled to the agent of one guest, and the requests on it. The guest may be
// hostile: every answer is bounded in bytes and in time, and parsed by the strict reader of src/wire.
import type { Socket } from 'node:net';
import type { z } from 'zod';
import { SlicerError } from '../errors/slicer-error.ts';
import { asciiBytes, encodeHead, MessageReader, statusOf, WireError } from '../wire/http.ts';
import { JSON_MAX_BYTES } from '../wire/protocol.ts';
import { agentProtocol, dialAgent, unreachable } from './agent-dial.ts';
import type { AgentSockets } from './agent-sockets.ts';

export interface AgentRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Ends the connection when it aborts before the answer is there. */
  readonly signal: AbortSignal;
}

export interface AgentResponse {
  readonly status: number;
  readonly body: Buffer;
}

interface Pending {
  readonly resolve: (response: AgentResponse) => void;
  readonly reject: (error: Error) => void;
}

export class AgentConnection {
  readonly #socket: Socket;
  readonly #sockets: AgentSockets;
  readonly #early: Uint8Array[] = [];
  #receive: (chunk: Uint8Array) => void;
  #pending: Pending | undefined;
  #ended: Error | undefined;
  readonly #onEnd: ((error: Error) => void)[] = [];

  constructor(socket: Socket, rest: Buffer, sockets: AgentSockets) {
    const reader = this.#reader();
    this.#socket = socket;
    this.#sockets = sockets;
    this.#receive = (chunk) => reader.push(chunk);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#end(unreachable('the connection ended')));
    if (rest.byteLength > 0) this.#take(rest);
    socket.resume();
  }

  /** Throws agent_unreachable, agent_protocol, or the signal's reason. */
  static async dial(sockets: AgentSockets, signal: AbortSignal): Promise<AgentConnection> {
    const { socket, rest } = await dialAgent(sockets, signal);
    return new AgentConnection(socket, rest, sockets);
  }

  /** One request and its answer, of at most JSON_MAX_BYTES. Throws agent_unreachable, agent_protocol, or the signal's reason. */
  async request({ method, target, headers = {}, body, signal }: AgentRequest): Promise<AgentResponse> {
    if (this.#ended !== undefined) throw this.#ended;
    if (signal.aborted) this.#end(signal.reason as Error);
    const onAbort = (): void => this.#end(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
    const length = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': bytes.byteLength };
    const head = encodeHead(`${method} ${target} HTTP/1.1`, { Host: 'slicer', ...headers, ...length });
    try {
      return await new Promise((resolve, reject) => {
        if (this.#ended !== undefined) return reject(this.#ended);
        this.#pending = { resolve, reject };
        this.#socket.write(Buffer.concat([asciiBytes(head), bytes]));
      });
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /**
   * After a 101 answer: gives every further byte to `receive`, and tells of the connection's end. When
   * `receive` throws, the connection ends.
   */
  takeOver(receive: (chunk: Uint8Array) => void, onEnd: (error: Error) => void): Socket {
    this.#receive = receive;
    this.onceEnded(onEnd);
    for (const chunk of this.#early.splice(0)) this.#take(chunk);
    this.#socket.resume();
    return this.#socket;
  }

  /** Calls `listener` when the connection has ended, at once when it has already. */
  onceEnded(listener: (error: Error) => void): void {
    if (this.#ended === undefined) this.#onEnd.push(listener);
    else listener(this.#ended);
  }

  close(error: Error = unreachable('the host closed the connection')): void {
    this.#end(error);
  }

  #take(chunk: Uint8Array): void {
    if (this.#ended !== undefined) return;
    try {
      this.#receive(chunk);
    } catch (error) {
      if (error instanceof WireError || error instanceof RangeError) this.#end(agentProtocol(error.message));
      else if (error instanceof SlicerError) this.#end(error);
      else throw error;
    }
  }

  #end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#sockets.end(this.#socket);
    this.#pending?.reject(error);
    for (const listener of this.#onEnd) listener(error);
  }

  #reader(): MessageReader {
    let status = 0;
    let body = Buffer.alloc(0);
    let filled = 0;
    const reader: MessageReader = new MessageReader({
      onHead: (head) => {
        if (this.#pending === undefined) throw agentProtocol('an answer to no request');
        if (head.contentLength > JSON_MAX_BYTES) {
          throw agentProtocol(`an answer of ${head.contentLength} bytes, the limit is ${JSON_MAX_BYTES}`);
        }
        status = statusOf(head);
        body = Buffer.alloc(head.contentLength);
        filled = 0;
      },
      onBody: (chunk) => {
        body.set(chunk, filled);
        filled += chunk.byteLength;
      },
      onEnd: () => {
        if (status === 101) {
          // What follows waits for takeOver.
          reader.switchTo((rest) => void this.#early.push(rest.slice()));
          this.#socket.pause();
        }
        const pending = this.#pending;
        this.#pending = undefined;
        pending?.resolve({ status, body });
      },
    });
    return reader;
  }
}

/** The JSON of an answer. Throws agent_protocol, without a word of what came. */
export function parseAnswer<T>(schema: z.ZodType<T>, body: Buffer): T {
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch {
    throw agentProtocol('expected JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw agentProtocol(`unexpected answer at ${issue?.path.join('.') || 'its top'}`);
}
