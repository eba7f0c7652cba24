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

const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t\x80-\xff]*?)[ \t]*$/;
const START_LINE = /^[\x21-\x7e][\x20-\x7e\t]*$/;
const CONTENT_LENGTH = /^(0|[1-9][0-9]{0,12})$/;

/** The text of a head, ready to send. `headers` must not contain line breaks. */
export function encodeHead(startLine: string, headers: Readonly<Record<string, string | number>>): string {
  let text = `${startLine}\r\n`;
  for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
  return `${text}\r\n`;
}

/** Reads a head without its closing empty line. Throws `WireError`. */
export function parseHead(text: string): Head {
  const [startLine = '', ...lines] = text.split('\r\n');
  if (!START_LINE.test(startLine)) throw new WireError('expected an HTTP start line');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = HEADER_LINE.exec(line);
    if (match === null) throw new WireError('expected an HTTP header line');
    const name = (match[1] as string).toLowerCase();
    if (headers.has(name)) throw new WireError(`expected the header "${name}" once, got it twice`);
    headers.set(name, match[2] as string);
  }
  if (headers.has('transfer-encoding')) throw new WireError('expected a Content-Length, got a Transfer-Encoding');
  const length = headers.get('content-length') ?? '0';
  if (!CONTENT_LENGTH.test(length)) throw new WireError('expected a decimal Content-Length');
  return { startLine, headers, contentLength: Number(length) };
}

/** The status code of a response's start line. Throws `WireError`. */
export function statusOf(head: Head): number {
  const match = /^HTTP\/1\.1 ([1-5][0-9][0-9])(?: .*)?$/.exec(head.startLine);
  if (match === null) throw new WireError('expected an HTTP/1.1 status line');
  return Number(match[1]);
}

/** Method and target of a request's start line. Throws `WireError`. */
export function requestLineOf(head: Head): { method: string; target: string } {
  const match = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.1$/.exec(head.startLine);
  if (match === null) throw new WireError('expected an HTTP/1.1 request line');
  return { method: match[1] as string, target: match[2] as string };
}

const CR = 13;
const LF = 10;

/** Reads messages one after the other from any split of the stream. `push` throws `WireError`. */
export class MessageReader {
  readonly #handlers: MessageHandlers;
  #head = '';
  /** Body bytes still to come; undefined while a head is being read. */
  #bodyLeft: number | undefined;
  #paused: ((rest: Uint8Array) => void) | undefined;

  constructor(handlers: MessageHandlers) {
    this.#handlers = handlers;
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

  #readHead(chunk: Uint8Array, start: number): number {
    // The head ends with CR LF CR LF, which may be split anywhere: search from the tail of what is there.
    const limit = Math.min(chunk.byteLength, start + HEAD_MAX_BYTES + 4 - this.#head.length);
    let end = -1;
    const tail = this.#head.slice(-3);
    for (let index = start; index < limit; index += 1) {
      if (chunk[index] === LF && this.#byteBefore(chunk, start, tail, index, 1) === CR
        && this.#byteBefore(chunk, start, tail, index, 2) === LF
        && this.#byteBefore(chunk, start, tail, index, 3) === CR) {
        end = index + 1;
        break;
      }
    }
    const stop = end === -1 ? limit : end;
    this.#head += latin1(chunk, start, stop);
    if (end === -1) {
      if (this.#head.length >= HEAD_MAX_BYTES + 4) {
        throw new WireError(`expected an HTTP head of at most ${HEAD_MAX_BYTES} bytes`);
      }
      return stop;
    }
    const head = parseHead(this.#head.slice(0, -4));
    this.#head = '';
    this.#bodyLeft = head.contentLength;
    this.#handlers.onHead(head);
    this.#endIfComplete();
    return stop;
  }

  #byteBefore(chunk: Uint8Array, start: number, tail: string, index: number, distance: number): number {
    const at = index - distance;
    if (at >= start) return chunk[at] as number;
    return tail.charCodeAt(tail.length + (at - start));
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
    text += String.fromCharCode(...bytes.subarray(index, Math.min(to, index + 4096)));
  }
  return text;
}

/** An ASCII string as bytes. */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}
