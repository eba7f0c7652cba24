// HTTP/1.1 (RFC 9112) as far as the live channel uses it: messages with a Content-Length or without a
// body, heads of bounded size. Strict: what is not exactly that form throws, since the peer may be hostile.
import { HEAD_MAX_BYTES } from './protocol.ts';

export interface Head {
  /** `GET /v1/secrets HTTP/1.1` or `HTTP/1.1 200 OK`. */
  readonly startLine: string;
  /** Names in lower case. A header that comes twice is refused. */
  readonly headers: ReadonlyMap<string, string>;
  readonly contentLength: number;
}

export interface MessageHandlers {
  readonly onHead: (head: Head) => void;
  readonly onBody: (chunk: Uint8Array) => void;
  readonly onEnd: () => void;
}

export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

/** A start line, then `name: value` lines; one expression, since each costs QuickJS ten thousand instructions. */
const HEAD = /^[\x21-\x7e][\x20-\x7e\t]*(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*$/;
const STATUS_LINE = /^HTTP\/1\.1 [1-5][0-9][0-9]( |$)/;
const CONTENT_LENGTH = /^(0|[1-9][0-9]{0,12})$/;

/** The text of a head, ready to send. `headers` must not contain line breaks. */
export function encodeHead(startLine: string, headers: Readonly<Record<string, string | number>>): string {
  let text = `${startLine}\r\n`;
  for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
  return `${text}\r\n`;
}

/** Reads a head without its closing empty line. Throws `WireError`. */
export function parseHead(text: string): Head {
  if (!HEAD.test(text)) throw new WireError('expected an HTTP start line and header lines');
  const lines = text.split('\r\n');
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index] as string;
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (headers.has(name)) throw new WireError(`expected the header "${name}" once, got it twice`);
    headers.set(name, line.slice(colon + 1).trim());
  }
  if (headers.has('transfer-encoding')) throw new WireError('expected a Content-Length, got a Transfer-Encoding');
  const length = headers.get('content-length') ?? '0';
  if (!CONTENT_LENGTH.test(length)) throw new WireError('expected a decimal Content-Length');
  return { startLine: lines[0] as string, headers, contentLength: Number(length) };
}

/** The status code of a response's start line. Throws `WireError`. */
export function statusOf(head: Head): number {
  if (!STATUS_LINE.test(head.startLine)) throw new WireError('expected an HTTP/1.1 status line');
  return Number(head.startLine.slice(9, 12));
}

/** Method and target of a request's start line. Throws `WireError`. */
export function requestLineOf(head: Head): { method: string; target: string } {
  const match = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.1$/.exec(head.startLine);
  if (match === null) throw new WireError('expected an HTTP/1.1 request line');
  return { method: match[1] as string, target: match[2] as string };
}

/** A head is looked for in steps, so that a body behind it in the same chunk is not turned into text. */
const HEAD_STEP_BYTES = 512;

const END_OF_HEAD = '\r\n\r\n';

/** Reads messages one after the other from any split of the stream. `push` throws `WireError`. */
export class MessageReader {
  readonly #handlers: MessageHandlers;
  readonly #text: typeof latin1;
  #head = '';
  /** Body bytes still to come; undefined while a head is being read. */
  #bodyLeft: number | undefined;
  #paused: ((rest: Uint8Array) => void) | undefined;

  /** `text` turns bytes into a string of the same length; the agent passes a C function. */
  constructor(handlers: MessageHandlers, text: typeof latin1 = latin1) {
    this.#handlers = handlers;
    this.#text = text;
  }

  /** Whether no message has begun that is not ended: where a connection may close without loss. */
  get idle(): boolean {
    return this.#bodyLeft === undefined && this.#head === '';
  }

  /** From the next message's end on, bytes are no HTTP any more and go to `receiver` (101 answers). */
  switchTo(receiver: (rest: Uint8Array) => void): void {
    this.#paused = receiver;
  }

  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength) {
      if (this.#bodyLeft === undefined) {
        if (this.#paused !== undefined) {
          this.#paused(chunk.subarray(offset));
          return;
        }
        offset = this.#readHead(chunk, offset);
      } else {
        const take = Math.min(this.#bodyLeft, chunk.byteLength - offset);
        this.#bodyLeft -= take;
        this.#handlers.onBody(chunk.subarray(offset, offset + take));
        offset += take;
        this.#endIfComplete();
      }
    }
  }

  /** Where in `chunk` the head ends, or how much of it belongs to a head that goes on. */
  #readHead(chunk: Uint8Array, start: number): number {
    const before = this.#head.length;
    const room = HEAD_MAX_BYTES + END_OF_HEAD.length - before;
    const stop = Math.min(chunk.byteLength, start + Math.min(room, HEAD_STEP_BYTES));
    this.#head += this.#text(chunk, start, stop);
    // The end may be split anywhere: search from the tail of what was there.
    const end = this.#head.indexOf(END_OF_HEAD, Math.max(0, before - END_OF_HEAD.length + 1));
    if (end === -1) {
      if (this.#head.length < HEAD_MAX_BYTES + END_OF_HEAD.length) return stop;
      throw new WireError(`expected an HTTP head of at most ${HEAD_MAX_BYTES} bytes`);
    }
    const head = parseHead(this.#head.slice(0, end));
    this.#head = '';
    this.#bodyLeft = head.contentLength;
    this.#handlers.onHead(head);
    this.#endIfComplete();
    return start + end + END_OF_HEAD.length - before;
  }

  #endIfComplete(): void {
    if (this.#bodyLeft !== 0) return;
    this.#bodyLeft = undefined;
    this.#handlers.onEnd();
  }
}

/** Bytes as a string of the same length, one character a byte. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let index = from; index < to; index += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(index, Math.min(to, index + 4096)) as unknown as number[]);
  }
  return text;
}

/** An ASCII string as bytes. */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}
